// An upgrade step by step, without a cluster: what the leader writes, from what the nodes tell.
import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { NodeFlow, NodeRecord } from "../../../runtime/cluster/node-record.ts";
import { decide, type PlacementOrder } from "../../../runtime/cluster/placement-order.ts";
import { after, type ClusterState, decodePlacement, emptyState, encodePlacement, type FlowSeats, seatsOf, type SeatState } from "../../../runtime/cluster/placement-record.ts";
import type { FailedSeat } from "../../../runtime/cluster/upgrade.ts";
import { codeAt, completed, upgradeStep } from "../../../runtime/cluster/upgrade-step.ts";
import { anywhere } from "../../../runtime/flow/plan.ts";
import { MillraceError } from "../../../runtime/event/errors.ts";

const test = suite("upgrade-step");

const seat = (node: string | null): SeatState => ({ node, since: 1, from: null, standby: [] });

/** A flow of a source, two of a processor and a sink on two nodes, which do at once what they are told. */
class World {
  state: ClusterState = {
    ...emptyState, n: 7, term: 1,
    flows: new Map([["f", { name: "f", run: "r", code: "old", ended: false, stages: [{ name: "in", place: anywhere, seats: [seat("a")] }, { name: "p", place: anywhere, seats: [seat("a"), seat("b")] }, { name: "out", place: anywhere, seats: [seat("b")] }] }]]),
  };
  /** Codes that nodes have. */
  codes = ["old", "new"];
  /** Addresses of those that do not come up, and of those that fail. */
  readonly late = new Set<string>();
  readonly fails = new Map<string, Partial<FailedSeat>>();

  get flow(): FlowSeats {
    return this.state.flows.get("f") as FlowSeats;
  }

  get members(): readonly NodeRecord[] {
    return ["a", "b"].map((name) => ({
      name, life: "1", beat: 1, state: "here", weight: 1, labels: [], version: "0", startedAt: 0,
      flows: this.codes.map((code): NodeFlow => {
        const here = [...seatsOf(this.flow)].filter(([, its]) => its.node === name && codeAt(this.flow, its) === code);
        const failed = here.filter(([actor]) => this.fails.has(actor)).map(([actor, { since }]) => ({ actor, since, code: "CRASHED", message: "no", ...this.fails.get(actor) }));
        return { name: "f", code, hosted: here.length, ended: 0, stuck: 0, up: Object.fromEntries(here.filter(([actor]) => !this.late.has(actor) && !this.fails.has(actor)).map(([actor, { since }]) => [actor, since])), failed };
      }),
    }));
  }

  order(order: PlacementOrder): string {
    try {
      const ordered = decide(order, this.state, this.members);
      if ("since" in ordered) return `stands since ${ordered.since}`;
      this.#write(ordered.decision);
      return "written";
    } catch (error) {
      assert.ok(error instanceof MillraceError && error.remedy !== "", String(error));
      return error.code;
    }
  }

  #write(decision: Parameters<typeof this.record>[0]): void {
    this.state = after(this.state, decodePlacement(encodePlacement(this.record(decision))));
  }

  record(decision: Extract<ReturnType<typeof decide>, { decision: unknown }>["decision"]) {
    return { ...decision, n: this.state.n + 1, term: 1, mark: "m", before: "", at: 0 };
  }

  /** One step; gives what it came to. */
  step(): string {
    const step = upgradeStep(this.flow, this.members, this.state.n + 1);
    if (step?.is !== "write") return step === undefined ? "held" : step.is === "wait" ? `waits for ${step.for}: ${step.why}` : "complete";
    this.#write({ kind: "place", flow: step.flow, moves: [] });
    return "written";
  }

  /** All steps until nothing more is written; gives who has which code then, in the order in which they went. */
  run(): { readonly end: string; readonly went: readonly string[] } {
    const went: string[] = [];
    for (let steps = 0; steps < 20; steps++) {
      const before = this.over, end = this.step();
      went.push(...this.over.filter((actor) => !before.includes(actor)), ...before.filter((actor) => !this.over.includes(actor)));
      if (end !== "written") return { end, went };
    }
    throw new Error("it does not come to an end");
  }

  get over(): readonly string[] {
    return [...seatsOf(this.flow)].filter(([, { code }]) => code !== undefined).map(([actor, { code }]) => `${actor} ${code}`);
  }
}

const upgrade = (to: string, canary: { stage: string; count: number } | null = null): PlacementOrder => ({ action: "upgrade", flow: "f", to, canary });
const back: PlacementOrder = { action: "downgrade", flow: "f" };

test("readers go before those who feed them, one after the other, each when the one before is at work", () => {
  const world = new World();
  assert.is(world.order(upgrade("new")), "written");
  world.late.add("f/p/0");
  assert.equal(world.run(), { end: "waits for f/p/0: it is on its way on node a", went: ["f/out/0 new", "f/p/0 new"] });
  assert.is(world.order(upgrade("new")), "stands since 8", "the same again watches on");
  assert.is(world.order(upgrade("newer")), "UPGRADE_UNDER_WAY");
  world.late.clear();
  assert.equal(world.run(), { end: "complete", went: ["f/p/1 new", "f/in/0 new"] });
  const done = completed(world.flow, new Map([["p", { ...anywhere, labels: ["gpu"] }]]));
  assert.equal([done.code, done.upgrade, done.stages[1]?.place.labels, [...seatsOf(done)].some(([, { code }]) => code !== undefined)], ["new", undefined, ["gpu"], false]);
});

test("a canary is held; it goes on, or back, as it is told", () => {
  for (const order of [upgrade("new"), back]) {
    const world = new World();
    assert.is(world.order(upgrade("new", { stage: "p", count: 1 })), "written");
    assert.equal(world.run(), { end: "held", went: ["f/p/0 new"] });
    assert.is(world.step(), "held");
    assert.is(world.order(order), "written");
    assert.equal(world.run(), order === back ? { end: "complete", went: ["f/p/0 new"] } : { end: "complete", went: ["f/out/0 new", "f/p/1 new", "f/in/0 new"] });
    assert.is(completed(world.flow).code, order === back ? "old" : "new");
  }
});

test("one that fails holds it, with who and why; one that could not be begun keeps its code; tried again it is given the code anew", () => {
  const world = new World();
  world.order(upgrade("new"));
  world.fails.set("f/p/1", {});
  assert.equal(world.run(), { end: "held", went: ["f/out/0 new", "f/p/0 new", "f/p/1 new"] });
  assert.equal(world.flow.upgrade?.failed, { actor: "f/p/1", code: "CRASHED", message: "no" });
  const since = world.flow.stages[1]?.seats[1]?.since as number;
  assert.is(world.order(upgrade("new")), "written");
  assert.ok((world.flow.stages[1]?.seats[1]?.since as number) > since, "its node is told to try it again");
  assert.is(world.run().end, "held", "which did not help");
  world.fails.set("f/p/1", { kept: "old" });
  world.order(upgrade("new"));
  assert.equal([world.run().end, world.over], ["held", ["f/p/0 new", "f/out/0 new"]]);
  world.fails.clear();
  assert.is(world.order(back), "written");
  assert.equal([world.run().end, world.over], ["complete", []]);
});

test("mended code takes the place of code that failed: those that have it go first", () => {
  const world = new World();
  world.order(upgrade("new"));
  world.fails.set("f/p/0", {});
  world.run();
  world.fails.clear();
  assert.is(world.order(upgrade("newer")), "CODE_MISSING");
  world.codes.push("newer");
  assert.is(world.order(upgrade("newer")), "written");
  assert.equal(world.run().went.filter((one) => one.endsWith("newer")), ["f/out/0 newer", "f/p/0 newer", "f/p/1 newer", "f/in/0 newer"]);
});

test("what cannot be is refused, each with its code; a node without the code is waited for", () => {
  const world = new World();
  assert.is(world.order(upgrade("none")), "CODE_MISSING");
  assert.is(world.order(upgrade("old")), "NOTHING_TO_DO");
  assert.is(world.order(back), "NOTHING_TO_DO");
  assert.is(world.order({ ...upgrade("new"), flow: "x" } as PlacementOrder), "FLOW_UNKNOWN");
  assert.is(world.order(upgrade("new", { stage: "x", count: 1 })), "OPTION_INVALID");
  assert.is(world.order(upgrade("new", { stage: "p", count: 3 })), "OPTION_INVALID");
  assert.is(world.order(upgrade("new", { stage: "p", count: 1 })), "written");
  world.codes = ["old"];
  assert.is(world.step(), "waits for f/p/0: node a does not have the code");
  world.state = { ...world.state, flows: new Map([["f", { ...world.flow, ended: true }]]) };
  assert.is(world.order(upgrade("new")), "ENDED");
});

test.run();
