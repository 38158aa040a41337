// What `millrace scale` says while it watches and at the end, without a node.
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { endText, followed } from "../../../runtime/cli/scale.ts";
import { createDeployments, writeDeployment } from "../../../runtime/deploy/deployments.ts";
import { join } from "../../../runtime/node/membership.ts";
import { inspectSubject } from "../../../runtime/node/questions.ts";
import { type RunRecord, writeRun } from "../../../runtime/node/run-record.ts";
import { MemoryBroker } from "../../../runtime/testing/memory-broker.ts";
import { MemoryServer } from "../../../runtime/testing/memory-server.ts";
import { rejection } from "../../support/rejection.ts";
import { within } from "../../support/waiting.ts";

const test = suite("words of scale");
const begun = (to: number) => ({ stage: "tally", generation: "r-2", from: 4, to });

function pauseLine(pauseMs: readonly number[], columns = 80): string | undefined {
  const receipt = { from: 4, to: pauseMs.length, ms: 1_500, entries: 100, moved: 75, pauseMs, sentAgain: 0, lost: 0 };
  return endText(begun(pauseMs.length), { is: "finished", takenBack: false, receipt }, columns).split("\n").find((line) => line.startsWith("  pause"));
}

test("a receipt lists the pause of each partition where these are few and go on one line, else the one in the middle and the longest", () => {
  assert.is(pauseLine([579, 611, 897, 897, 624, 896]), "  pause       0: 579 ms, 1: 611 ms, 2: 897 ms, 3: 897 ms, 4: 624 ms, 5: 896 ms");
  assert.is(pauseLine([1_579, 1_611, 1_897, 1_897, 1_624, 1_896]), "  pause       1,624 ms in the middle, 1,897 ms at most");
  assert.is(pauseLine([1_579, 1_611, 1_897, 1_897, 1_624, 1_896], 110), "  pause       0: 1,579 ms, 1: 1,611 ms, 2: 1,897 ms, 3: 1,897 ms, 4: 1,624 ms, 5: 1,896 ms");
  assert.is(pauseLine([3, 1, 2, 5, 4, 7, 6]), "  pause       4 ms in the middle, 7 ms at most");
  assert.is(pauseLine(Array.from({ length: 1_000 }, (_, p) => p)), "  pause       499 ms in the middle, 999 ms at most");
  assert.is(pauseLine([83], 20), "  pause       83 ms in the middle, 83 ms at most");
  assert.is(pauseLine([]), "  pause       not known, the node was started again");
});

const change = { stage: "tally", generation: "r-2", parallelism: 300, takenBack: false };
const hash = "c".repeat(64);
const runOf = (state: RunRecord["state"], more: Partial<RunRecord> = {}): RunRecord => ({ token: "r", state, code: hash, node: "n1", startedAt: 0, inputs: [], shape: { stages: [], edges: [] } as unknown as RunRecord["shape"], stages: [{ name: "tally", generation: "r-1", parallelism: 4 }], ...more });

/** A node that is there and leads no flow: it answers `null`. */
async function site(run: RunRecord): Promise<MemoryBroker> {
  const server = new MemoryServer(), broker = new MemoryBroker(server), node = new MemoryBroker(server);
  await join(node.keys, { name: "n1", since: 0 }, () => Promise.resolve(true));
  node.serve(inspectSubject("n1"), () => Promise.resolve(Buffer.from(JSON.stringify({ node: "n1", answer: null }))));
  await writeRun(node.keys, "tallies", run, 0);
  return broker;
}

test("who watches hears at once that the flow was stopped or has ended before its stage had gone over, and what can be done", async () => {
  for (const [state, code, says, remedy] of [["stopped", "NOT_RUNNING", /on its way from 4 to 300 actors: no node runs it/, /deploy the same code again/], ["finished", "ENDED", /came to its end while "tally"/, /--set tally\.parallelism/]] as const) {
    const error = await rejection(within(10_000, "it says so", followed(await site(runOf(state, { change })), "tallies", undefined)));
    assert.equal([error.code, error.where], [code, "tallies/tally"]);
    assert.match(error.message, says);
    assert.match(error.remedy, remedy);
  }
});

test("nor does it wait for a flow that was undeployed while its nodes were killed, so that its run counts as running", async () => {
  const broker = await site(runOf("running", { change }));
  await createDeployments(broker, 1);
  assert.ok(await writeDeployment(broker, { kind: "undeployed", name: "tallies", hash, at: 1 }, 0));
  assert.is((await rejection(within(10_000, "it says so", followed(broker, "tallies", undefined)))).code, "NOT_RUNNING");
});

test("a run that is over after its stage had gone over is no failure: its record tells the number", async () => {
  const { change: its, counts } = await within(10_000, "it is told", followed(await site(runOf("stopped", { stages: [{ name: "tally", generation: "r-2", parallelism: 300 }] })), "tallies", undefined));
  assert.equal([its, counts], [null, { tally: 300 }]);
});

test("where nobody answers and nothing tells why, it ends after a minute", async () => {
  const broker = await site(runOf("running", { change })), real = performance.now, said: string[] = [];
  let now = 0;
  performance.now = () => now;
  try {
    const watched = followed(broker, "tallies", { show: (line) => { said.push(line); now += 30_001; } });
    assert.is((await rejection(within(10_000, "it ends", watched))).code, "NOT_RUNNING");
    assert.equal(said, Array(2).fill("No node leads tallies now: it goes on when one does"));
  } finally {
    performance.now = real;
  }
});

test.run();
