import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { Division } from "../../../runtime/actor/environment.ts";
import { Routing } from "../../../runtime/actor/routing.ts";
import type { Body } from "../../../runtime/journal/record.ts";

const test = suite("routing");
const old: Division = { generation: "g-1", count: 2 }, next: Division = { generation: "g-2", count: 3 };

/** What a node knows of the plan for stage "b". */
class Plan {
  inForce = old;
  readonly over: string[] = [];
  planned: (Division & { takenBack: boolean; stands?: boolean }) | undefined;

  routing(...records: readonly Body[]): Routing {
    const routing = new Routing(() => this.inForce, { first: () => old, next: (stage) => (stage === "b" ? this.planned : undefined), retired: (_stage, generation) => this.over.includes(generation) });
    for (const record of records) routing.apply(record);
    return routing;
  }
}

const written = (routing: Routing, whole = false): Body => {
  const body: Body = {};
  routing.write(body, whole);
  return body;
};

test("without a plan frames go to the generation in force, and no record says anything", () => {
  const routing = new Plan().routing();
  assert.equal([routing.of("b"), routing.due("b"), routing.refusalDue("b")], [old, undefined, false]);
  assert.equal([written(routing), written(routing, true)], [{}, {}]);
});

test("a plan is to be followed once: what was decided stands in the record, and whole in a snapshot", () => {
  const plan = new Plan(), routing = plan.routing();
  plan.planned = { ...next, takenBack: false };
  assert.equal(routing.due("b"), next);
  assert.is(routing.due("c"), undefined);
  routing.set("b", next);
  assert.equal([routing.of("b"), routing.due("b"), routing.stance("b", "g-2")], [next, undefined, "barrier"]);
  assert.equal(written(routing), { routing: [["b", "g-2", 3]] });
  assert.equal(written(routing), {});
  assert.equal(written(routing, true), { routing: [["b", "g-2", 3]] });
});

test("a failover repeats the decision of its log, whatever the plan says by then", () => {
  const plan = new Plan(), routing = plan.routing({ routing: [["b", "g-2", 3]] });
  assert.equal([routing.of("b"), routing.due("b")], [next, undefined]);
  plan.planned = { ...next, takenBack: false };
  assert.equal([routing.of("b"), routing.due("b")], [next, undefined]);
});

test("a plan that is taken back is refused once, by those who have not followed it", () => {
  const plan = new Plan(), routing = plan.routing(), gone = plan.routing({ routing: [["b", "g-2", 3]] });
  plan.planned = { ...next, takenBack: true };
  assert.equal([routing.due("b"), routing.refusalDue("b"), gone.refusalDue("b")], [undefined, true, false]);
  routing.refuse("b");
  assert.equal([routing.refusalDue("b"), routing.stance("b", "g-2"), gone.stance("b", "g-2")], [false, "refused", "barrier"]);
  assert.equal(written(routing), { refused: [["b", "g-2"]] });
  assert.equal(plan.routing({ refused: [["b", "g-2"]] }).stance("b", "g-2"), "refused");
});

test("who refused follows after all where the plan stands; the next plan is asked for anew", () => {
  const plan = new Plan(), routing = plan.routing({ refused: [["b", "g-2"]] });
  plan.planned = { ...next, takenBack: false };
  assert.is(routing.due("b"), undefined, "the plan as it was before it was taken back");
  plan.planned = { ...next, takenBack: false, stands: true };
  assert.equal(routing.due("b"), next);
  routing.set("b", next);
  assert.is(routing.stance("b", "g-2"), "barrier");
  plan.planned = { generation: "g-3", count: 1, takenBack: false };
  assert.equal([routing.due("b"), routing.stance("b", "g-3")], [{ generation: "g-3", count: 1 }, "open"]);
});

test("a node that has not heard of newer plans undoes nothing that the own log has decided since", () => {
  const plan = new Plan(), gone = plan.routing({ routing: [["b", "g-3", 1]] }), refused = plan.routing({ refused: [["b", "g-3"]] });
  for (const seen of [{ ...next, takenBack: false }, { ...next, takenBack: false, stands: true }, { ...next, takenBack: true }]) {
    plan.planned = seen;
    assert.equal([gone, refused].map((its) => [its.due("b"), its.refusalDue("b")]), [[undefined, false], [undefined, false]]);
  }
  assert.equal(gone.of("b"), { generation: "g-3", count: 1 });
});

test("a generation is over that its own log still sends to: others have gone on from barriers that it does not hold", () => {
  const plan = new Plan(), routing = plan.routing({ routing: [["b", "g-2", 3]] });
  plan.over.push("g-1");
  assert.not(routing.isLeftBehind("b"));
  plan.over.push("g-2");
  assert.ok(routing.isLeftBehind("b"));
});

test.run();
