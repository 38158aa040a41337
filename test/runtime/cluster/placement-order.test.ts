import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { NodeRecord } from "../../../runtime/cluster/node-record.ts";
import { anywhere } from "../../../runtime/flow/plan.ts";
import { decide, offered, type PlacementOrder } from "../../../runtime/cluster/placement-order.ts";
import { after, type ClusterState, decodePlacement, type Decision, emptyState, encodePlacement, type FlowSeats, type PlacementRecord } from "../../../runtime/cluster/placement-record.ts";
import { MillraceError } from "../../../runtime/event/errors.ts";

const test = suite("orders about the placement");

const member = (name: string, more: Partial<NodeRecord> = {}): NodeRecord => ({ name, life: "1", beat: 1, state: "here", weight: 1, labels: [], version: "0", startedAt: 0, flows: [{ name: "f", code: "c", hosted: 0, ended: 0, stuck: 0 }], ...more });
const members = [member("a", { labels: ["gpu"] }), member("b"), member("c", { flows: [] }), member("d", { labels: ["gpu"], capacity: 1 })];
const seat = (node: string) => ({ node, since: 3, from: null, standby: [] });
const flow: FlowSeats = { name: "f", run: "r", code: "c", ended: false, stages: [{ name: "s", place: anywhere, seats: [seat("a"), seat("b"), seat("d")] }, { name: "g", place: { ...anywhere, labels: ["gpu"] }, seats: [seat("a")] }] };
const start: ClusterState = { ...emptyState, n: 7, term: 2, flows: new Map([["f", flow], ["old", { ...flow, name: "old", ended: true }]]) };

const recordOf = (decision: Decision, { n, term }: ClusterState): PlacementRecord => ({ ...decision, n: n + 1, term, mark: "m", before: "", at: 0 });
/** Carries an order out, by way of the bytes of its record. */
function carried(order: PlacementOrder, state: ClusterState): { readonly since: number; readonly state: ClusterState } {
  const ordered = decide(order, state, members);
  if ("since" in ordered) return { since: ordered.since, state };
  return { since: state.n + 1, state: after(state, decodePlacement(encodePlacement(recordOf(ordered.decision, state)))) };
}
const refusal = (order: PlacementOrder, state = start): string => {
  try {
    decide(order, state, members);
  } catch (error) {
    assert.ok(error instanceof MillraceError && error.remedy !== "", String(error));
    return error.code;
  }
  return "taken";
};

test("a cordon is of one start of a node; given again it changes nothing and says since when it stands", () => {
  const { since, state } = carried({ action: "cordon", node: "b" }, start);
  assert.equal([since, state.cordons], [8, [{ node: "b", life: "1", since: 8 }]]);
  assert.equal(members.map((one) => offered(one, state).cordoned === true), [false, true, false, false]);
  assert.is(offered(member("b", { life: "2" }), state).cordoned, undefined, "started again it takes actors");
  assert.equal(carried({ action: "cordon", node: "b" }, { ...state, n: 20 }), { since: 8, state: { ...state, n: 20 } });
  assert.equal(carried({ action: "uncordon", node: "b" }, state).state.cordons, []);
});

test("a pin stands in the actor's seat, given again it changes nothing, and a release takes it out", () => {
  const { since, state } = carried({ action: "pin", actor: "f/s/1", node: "a" }, start), seats = (of: ClusterState) => of.flows.get("f")?.stages[0]?.seats;
  assert.equal([since, seats(state)?.[1]], [8, { ...seat("b"), pin: { node: "a", since: 8 } }]);
  assert.equal(seats(state)?.[0], seat("a"));
  assert.is(carried({ action: "pin", actor: "f/s/1", node: "a" }, { ...state, n: 30 }).since, 8);
  assert.equal(seats(carried({ action: "release", actor: "f/s/1" }, state).state), seats(start));
});

test("what cannot be done is refused, each with its code", () => {
  assert.is(refusal({ action: "cordon", node: "x" }), "NODE_UNKNOWN");
  assert.is(refusal({ action: "uncordon", node: "b" }), "NOTHING_TO_DO");
  assert.is(refusal({ action: "pin", actor: "f/s/1", node: "x" }), "NODE_UNKNOWN");
  assert.is(refusal({ action: "pin", actor: "f/s/1", node: "a" }, carried({ action: "cordon", node: "a" }, start).state), "NODE_CORDONED");
  assert.is(refusal({ action: "pin", actor: "f/g/0", node: "b" }), "LABEL_MISSING");
  assert.is(refusal({ action: "pin", actor: "f/s/1", node: "c" }), "CODE_MISSING");
  assert.is(refusal({ action: "pin", actor: "f/s/1", node: "d" }), "NODE_FULL");
  assert.is(refusal({ action: "pin", actor: "f/s/2", node: "d" }), "taken", "where it is there is room for it");
  assert.throws(() => decide({ action: "pin", actor: "f/s/1", node: "d" }, start, members), /Node d has 1 actor, and takes no more than 1 /);
  for (const actor of ["f/s/3", "f/x/0", "f", "x/s/0", ""]) assert.is(refusal({ action: "pin", actor, node: "a" }), "ACTOR_UNKNOWN");
  assert.is(refusal({ action: "pin", actor: "old/s/0", node: "a" }), "ENDED");
  assert.is(refusal({ action: "release", actor: "f/s/1" }), "NOTHING_TO_DO");
});

test("records without cordon and pin are as every Millrace reads them; those with one say that they are newer", () => {
  const version = (record: PlacementRecord): unknown => (JSON.parse(Buffer.from(encodePlacement(record)).toString()) as { v: unknown }).v, lead = { kind: "lead", node: "a", life: "1", flows: [flow] } as const;
  const { state } = carried({ action: "pin", actor: "f/s/1", node: "a" }, start), pinned = state.flows.get("f") as FlowSeats, cordons = [{ node: "b", life: "1", since: 8 }];
  assert.equal([recordOf(lead, start), recordOf({ kind: "place", flow, moves: [] }, start)].map(version), [1, 1]);
  const newer = [recordOf({ ...lead, cordons }, start), recordOf({ ...lead, flows: [pinned] }, start), recordOf({ kind: "place", flow: pinned, moves: [] }, start), recordOf({ kind: "cordon", node: "b", life: "1", on: true }, start)];
  assert.equal(newer.map(version), [2, 2, 2, 2]);
  for (const record of newer) assert.equal(decodePlacement(encodePlacement(record)), record);
  assert.equal(after(start, newer[0] as PlacementRecord).cordons, cordons, "who leads next knows the cordons");
});

test("a record whose cordon or pin has another form is refused", () => {
  const bytes = (record: unknown): Uint8Array => Buffer.from(JSON.stringify(record)), head = { v: 2, n: 8, term: 2, mark: "m", before: "", at: 0 };
  const withPin = (pin: unknown) => ({ ...head, kind: "place", moves: [], flow: { ...flow, stages: [{ name: "s", place: anywhere, seats: [{ ...seat("a"), pin }] }] } });
  for (const record of [{ ...head, kind: "cordon", node: "b", life: 1, on: true }, { ...head, kind: "cordon", node: "b", life: "1", on: 1 }, { ...head, kind: "lead", node: "a", life: "1", flows: [], cordons: [{ node: "b" }] }, withPin("a"), withPin(null), withPin({ node: "a", since: -1 })]) {
    assert.throws(() => decodePlacement(bytes(record)), (error: MillraceError) => error.code === "BYTES_REFUSED");
  }
});

test.run();
