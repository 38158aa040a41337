// test deadline: 400 s
// A part of the crash matrix in which the nats-server dies in place of the node: an outage at each of these steps. All of it:
// `npm run test:faults -- matrix --victim server`.
import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { StepName } from "./kill-point.ts";
import { crashMatrix } from "./matrix.ts";

const test = suite("crash matrix, the server dies"), seed = 20_261_126;

test("a nats-server killed and started again at steps of the protocol, for three kinds of stages: nothing is lost, repeated or out of order", async () => {
  const its: readonly (readonly [StepName, string])[] = [
    ["claim-sent", "timers"], ["record-before", "windows"], ["record-sent", "letters"], ["record-stored", "timers"], ["frame-sent", "letters"],
    ["letter-stored", "letters"], ["chunk-stored", "windows"], ["trim-before", "timers"], ["write-before", "letters"], ["stop-stored", "windows"],
  ], picked = new Set(its.map(([step, kind]) => `${step}/${kind}`));
  const { cells, killed } = await crashMatrix({ seed, victim: "server", only: (step, kind) => picked.has(`${step}/${kind}`) });
  const failed = [...cells].filter(([, cell]) => cell !== "never" && cell.length > 0).map(([cell, wrongs]) => `${cell}: ${(wrongs as readonly string[]).join("; ")}`);
  assert.equal(failed, [], `${failed.length} cells, seed ${seed}`);
  assert.ok(killed >= its.length - 2, `${killed} kills at ${its.length} steps: ${[...cells].filter(([, cell]) => cell === "never").map(([cell]) => cell).join()}`);
});

test.run();
