// Makes a recorded data folder: `node --conditions=source --import tsx test/recorded/killed/record.ts <archive.tar.gz>`, with
// MILLRACE_NATS_SERVER for another server. A run that is killed twice in the middle by its own handler, archived as it lies there. Made once
// for each version of the formats; what it made stands for the data of those who upgrade while a run is interrupted.
import { execFileSync, spawn } from "node:child_process";
import { copyFile, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { loadFlow } from "../../../runtime/cli/flow-file.ts";
import { startNode } from "../../../runtime/inspect/inspected-node.ts";
import { loadLibrary } from "../../../runtime/broker/nats/wire.ts";
import { startEmbedded } from "../../../runtime/broker/nats-server/embedded.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { paymentLines, payments } from "./payments.ts";

const [archive] = process.argv.slice(2), flowFile = fileURLToPath(new URL("./flow.ts", import.meta.url));
if (archive === undefined) throw new Error("name the archive to make");
if (archive === "--run") await run();
else await record(resolve(archive));

/** One life of the node, in a process of its own and in the folder of the data. */
async function run(): Promise<void> {
  const { flow, hash } = await loadFlow("flow.ts", ".millrace");
  // Dead letters hold stacks, and those the paths of the machine. (tsx needs stacks to load a package.)
  await loadLibrary();
  Error.stackTraceLimit = 0;
  const node = await startNode({ flows: [flow], dataDir: ".millrace", name: "recorder" }, { code: () => hash, say: () => {}, warned: console.warn });
  await node.done;
  await node.stop();
}

async function record(target: string): Promise<void> {
  await using folder = await temporaryFolder();
  await copyFile(flowFile, join(folder.path, "flow.ts"));
  await writeFile(join(folder.path, "payments.jsonl"), paymentLines());
  // Both of one account, so of one actor: what it has before the first is committed with it or not at all.
  const [first] = payments().slice(333), second = payments().find(({ n, account }) => n > 777 && account === first?.account);
  for (const killAt of [first?.n, second?.n]) {
    const child = spawn(process.execPath, ["--conditions=source", "--import", import.meta.resolve("tsx"), fileURLToPath(import.meta.url), "--run"], { cwd: folder.path, env: { ...process.env, MILLRACE_RECORD_KILL: String(killAt) }, stdio: "inherit" });
    const signal = await new Promise((ended) => child.once("exit", (code, by) => ended(by ?? code)));
    if (signal !== "SIGKILL") throw new Error(`it was to be killed at payment ${killAt}, and ended with ${String(signal)}`);
  }
  // The server that the second kill left behind is ended, so that its files are whole; the node's are as the kill left them.
  await (await startEmbedded({ dataDir: join(folder.path, ".millrace") })).stop();
  // Beside what is stored: logs, bundles, and what is written anew with each start.
  for (const [within, kept] of [[".millrace", ["nats", "journals", "node"]], [".millrace/nats", ["store"]]] as const) {
    for (const name of await readdir(join(folder.path, within))) if (!kept.some((one) => one === name)) await rm(join(folder.path, within, name), { recursive: true });
  }
  for (const name of ["ledger.jsonl", "report.jsonl"]) console.log(name, (await readFile(join(folder.path, name), "utf8").catch(() => "")).split("\n").length - 1, "lines");
  execFileSync("tar", ["--owner=0", "--group=0", "--numeric-owner", "--exclude=LOG", "--exclude=LOG.old", "-czf", target, ".millrace", ...(await readdir(folder.path)).filter((name) => name !== "flow.ts" && name !== ".millrace")], { cwd: folder.path });
}
