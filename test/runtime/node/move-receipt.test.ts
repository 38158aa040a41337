import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { Arrival } from "../../../runtime/node/move-ledger.ts";
import { moveReceipt } from "../../../runtime/node/move-receipt.ts";

const test = suite("receipt of planned moves");
const arrival = (actor: string, more: Partial<Arrival> = {}): Arrival => ({ actor, from: "n1", since: 5, pauseMs: 40, compared: true, frames: { inFlight: 3, sentAgain: 1, lost: 0 }, ...more });

test("what nodes have counted is put together: of the moves that are meant, in order, with sums, the middle and the longest pause", () => {
  const receipt = moveReceipt(new Map([["n2", [arrival("f/s/2", { pauseMs: 90 }), arrival("f/s/0")]], ["n3", [arrival("f/s/1", { pauseMs: 10, frames: { inFlight: 0, sentAgain: 4, lost: 2 } }), arrival("f/t/0", { from: "n2" }), arrival("f/t/1", { since: 4 })]]]), ({ from, since }) => from === "n1" && since > 4);
  assert.equal(receipt.actors.map(({ actor, to, pauseMs }) => [actor, to, pauseMs]), [["f/s/0", "n2", 40], ["f/s/1", "n3", 10], ["f/s/2", "n2", 90]]);
  assert.equal([receipt.moved, receipt.pauseMs, receipt.inFlight, receipt.sentAgain, receipt.lost], [3, { median: 40, most: 90 }, 6, 6, 2]);
});

test("what is not known is said to be so, and counts for nothing", () => {
  const receipt = moveReceipt(new Map([["n2", [arrival("f/s/0", { frames: null, compared: false })]]]), () => true);
  assert.equal(receipt.actors[0], { actor: "f/s/0", from: "n1", to: "n2", pauseMs: 40, inFlight: null, sentAgain: null, lost: null, compared: false });
  assert.equal([receipt.lost, moveReceipt(new Map(), () => true).pauseMs], [0, { median: 0, most: 0 }]);
});

test.run();
