import { suite } from "uvu";
import * as assert from "uvu/assert";
import { collect, generate, map } from "../../../actors/index.ts";
import type { Exit } from "../../../runtime/actor/exit.ts";
import { type FlowPlan, planOf, type StagePlan } from "../../../runtime/flow/plan.ts";
import { defineFlow, type MillraceError } from "../../../runtime/index.ts";
import { Trial } from "../../../runtime/node/trial.ts";
import type { Child, Run } from "../../../runtime/supervision/child.ts";

const test = suite("an actor on trial");
const stage = (planOf(defineFlow("f", (flow) => {
  flow.sink("out", flow.processor("p", flow.source("feed", generate({ count: 1, make: (n) => n })), map((n: number) => n)), collect<number>([]));
})) as FlowPlan).stages[1] as StagePlan;

/** Lives of a child that end so, one after the other; gives the class of what its supervisor hears. */
async function heard(exits: readonly (Exit | "rejects")[], isOver = false): Promise<readonly Exit[]> {
  const told: Exit[] = [], left = [...exits];
  const child: Child = {
    id: "f/p/0",
    start: (run) => {
      const exit = left.shift() as Exit | "rejects";
      if (exit === "rejects") return Promise.reject(new Error("cannot start"));
      run.exit(exit);
      return Promise.resolve();
    },
    stop: () => Promise.resolve(), kill: () => {},
  };
  const trial = new Trial(child, stage, () => 0, () => isOver);
  for (let life = 0; life < exits.length; life++) await trial.start({ exit: (exit: Exit) => { told.push(exit); } } as unknown as Run);
  return told;
}

test("it is parked before an event is given up, with the cause; what is no fault of its code passes", async () => {
  const crash: Exit = { class: "crash", error: new Error("no such key") }, [first, second] = await heard([crash, crash]);
  assert.is(first, crash, "once it is restarted, as any actor");
  assert.equal([second?.class, (second?.error as MillraceError | undefined)?.code], ["parked", "UPGRADE_FAILED"]);
  assert.match(second?.error?.message ?? "", /no such key/);
  assert.equal((await heard(["rejects", "rejects"])).map((exit) => exit.class), ["crash", "parked"]);
  const others: readonly Exit[] = (["normal", "shutdown", "unavailable", "fenced", "sealed", "parked"] as const).map((of) => ({ class: of }));
  assert.equal(await heard(others), others);
});

test("once the code is the flow's it is an actor like any other", async () => {
  const crash: Exit = { class: "crash" };
  assert.equal(await heard([crash, crash, crash, crash], true), [crash, crash, crash, crash]);
});

test.run();
