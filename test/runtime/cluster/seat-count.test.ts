// A stage that is scaled gets seats, or loses them; who had one keeps it.
import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { FlowSeats, SeatState } from "../../../runtime/cluster/placement-record.ts";
import { reseated } from "../../../runtime/cluster/seat-count.ts";
import { anywhere } from "../../../runtime/flow/plan.ts";

const test = suite("seat-count");
const on = (node: string): SeatState => ({ node, since: 3, from: null, standby: [] });
const flow: FlowSeats = { name: "f", run: "r", code: "c", ended: false, stages: [{ name: "a", place: anywhere, seats: [on("n1")] }, { name: "b", place: anywhere, seats: [on("n1"), on("n2"), on("n3")] }] };

test("as many seats as actors: nothing is to be written", () => {
  assert.is(reseated(flow, new Map([["a", 1], ["b", 3]])), undefined);
  assert.is(reseated(flow, new Map()), undefined, "its key tells of another run");
});

test("more: the new ones wait for a node; fewer: the last ones go; all others stay where they are", () => {
  const more = reseated(flow, new Map([["b", 5]])) as FlowSeats, fewer = reseated(flow, new Map([["b", 2]])) as FlowSeats;
  assert.equal(more.stages[1]?.seats.map(({ node }) => node), ["n1", "n2", "n3", null, null]);
  assert.equal(fewer.stages[1]?.seats, [on("n1"), on("n2")]);
  for (const its of [more, fewer]) assert.is(its.stages[0], flow.stages[0]);
});

test.run();
