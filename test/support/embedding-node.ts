// A process that embeds a nats-server, for tests that end it. Arguments: data folder, then "orphans" to start the server without the
// kernel's watch on its parent. Says one line of JSON once the server runs; "exit" on its standard input ends it without stop().
import { startEmbedded } from "../../runtime/broker/nats-server/embedded.ts";

const [dataDir, orphans] = process.argv.slice(2);
if (dataDir === undefined) throw new Error("usage: embedding-node.ts <data folder> [orphans]");
const { findOrObtain } = await import("../../runtime/broker/nats-server/obtain.ts");
const binary = await findOrObtain();
// Where no setpriv is on the PATH, the server outlives a parent that is killed.
if (orphans === "orphans") process.env["PATH"] = "";
const { pid, servers, user, pass } = await startEmbedded({ dataDir, binary });
console.log(JSON.stringify({ pid, servers, user, pass }));
process.stdin.on("data", () => process.exit(3));
