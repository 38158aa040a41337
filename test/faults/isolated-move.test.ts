// test deadline: 120 s
// An actor in a thread of its own is moved from node to node while events flow: its receipt is counted like that of any other.
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { connect } from "../../runtime/broker/nats-broker.ts";
import { askPlacement } from "../../runtime/inspect/placement-orders.ts";
import type { MoveReceipt } from "../../runtime/node/move-receipt.ts";
import { startCli } from "../support/cli-process.ts";
import { DeploySite } from "../support/deploy-site.ts";
import { sharedNatsServer } from "../support/nats-server.ts";
import { eventually } from "../support/waiting.ts";

const test = suite("moves of actors in threads of their own");
const nats = sharedNatsServer(test.after);
const flow = fileURLToPath(new URL("../support/flows/isolated.ts", import.meta.url));

test("what was in flight, sent again and lost is counted, there and back, and what it had done before is compared", async () => {
  const server = await nats(), { servers, user, pass } = server;
  await using site = await DeploySite.make(server, {});
  const node = (name: string) => startCli(["node", "--name", name, "--nodes", "2", "--flow", flow], { cwd: site.cwd, env: { ...site.env, COUNT: "1000000", RATE: "200", DEADLINE: "20000" } });
  await using n1 = node("n1");
  await using n2 = node("n2");
  for (const its of [n1, n2]) its.ended.catch(() => {});
  const broker = await connect({ servers, user, pass }), actor = "isolated/risky/0";
  try {
    const from = await eventually("it is placed", async () => (await askPlacement(broker).catch(() => undefined))?.flows[0]?.actors[actor] ?? undefined, 40_000), to = from === "n1" ? "n2" : "n1";
    await eventually("events come through", async () => /"in":[1-9]/.test((await site.cli("tree", "--json")).stdout.split(actor)[1] ?? ""), 40_000);
    for (const [was, is] of [[from, to], [to, from]]) {
      const { actors, lost } = await site.json<MoveReceipt>(0, "move", actor, is as string), row = actors.find((one) => one.actor === actor);
      assert.equal([row?.from, row?.to, row?.compared, row?.lost, lost], [was, is, true, 0, 0], JSON.stringify(actors));
      assert.ok(typeof row?.inFlight === "number" && typeof row.sentAgain === "number", JSON.stringify(row));
      console.log(`  paused ${row.pauseMs} ms, ${row.inFlight} frames in flight, ${row.sentAgain} sent again`);
    }
  } finally {
    await broker.close();
  }
});

test.run();
