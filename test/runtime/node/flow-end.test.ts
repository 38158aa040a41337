import { suite } from "uvu";
import * as assert from "uvu/assert";
import { MillraceError } from "../../../runtime/event/errors.ts";
import { FlowEnd } from "../../../runtime/node/flow-end.ts";
import { ManualClock } from "../../../runtime/testing/manual-clock.ts";

const test = suite("flow-end");
const taken = (actor: string) => new MillraceError("FLOW_TAKEN", actor, `${actor} belongs to another node now`, "");
const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

function world(held: () => boolean | Error) {
  const clock = new ManualClock(), claimed: string[] = [];
  const run = { mark: () => Promise.resolve(), isHeld: () => { const its = held(); return its instanceof Error ? Promise.reject(its) : Promise.resolve(its); } };
  return { clock, claimed, end: new FlowEnd(run, clock, silent, () => {}, (actor) => { claimed.push(`${actor} at ${clock.monotonic()}`); return Promise.resolve(); }) };
}

test("an actor that another owner claims is claimed again while the flow is this node's: later each time, five times, then it is left to that one", async () => {
  const { clock, claimed, end } = world(() => true);
  for (let times = 1; times <= 6; times++) {
    end.failed(taken("f/a/0"));
    await clock.elapse(20_000);
  }
  assert.equal(claimed, ["f/a/0 at 1000", "f/a/0 at 22000", "f/a/0 at 44000", "f/a/0 at 68000", "f/a/0 at 96000"]);
  assert.match(String(end.failure), /FLOW_TAKEN/);
});

test("each actor has its own count", async () => {
  const { clock, claimed, end } = world(() => true);
  for (const actor of ["f/a/0", "f/a/1"]) end.failed(taken(actor));
  await clock.elapse(1_000);
  assert.equal([claimed, end.failure], [["f/a/0 at 1000", "f/a/1 at 1000"], undefined]);
});

test("a flow that is another node's is left to it at once; nothing is claimed", async () => {
  const { clock, claimed, end } = world(() => false);
  end.failed(taken("f/a/0"));
  await clock.elapse(0);
  assert.match(String(end.failure), /FLOW_TAKEN/);
  await clock.elapse(60_000);
  assert.equal(claimed, []);
});

test("whose the flow is, is asked until NATS answers; after a stop nothing is claimed", async () => {
  let answer: boolean | Error = new MillraceError("UNREACHABLE", "mr", "away", "");
  const { clock, claimed, end } = world(() => answer);
  end.failed(taken("f/a/0"));
  await clock.elapse(5_000);
  assert.equal([claimed, end.failure], [[], undefined]);
  answer = true;
  await clock.elapse(2_000);
  assert.is(claimed.length, 1);
  end.failed(taken("f/a/0"));
  await clock.elapse(500);
  await end.stopped();
  await clock.elapse(60_000);
  assert.equal([claimed.length, end.failure], [1, undefined]);
});

test.run();
