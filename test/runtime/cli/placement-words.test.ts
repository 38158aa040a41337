// What `millrace placement` and `millrace flows` choose, and say where there is nothing of what was asked for.
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { noneText as noFlowsText } from "../../../runtime/cli/flows.ts";
import { chosenOf, noneText } from "../../../runtime/cli/placement.ts";

const test = suite("words of placement and flows");
const actors = ["clicks/clicks/0", "clicks/per-page/0", "clicks/per-page/1", "clicks/per-page/10"].map((actor) => ({ actor, node: "n1", standby: [], copies: 0 as const }));
const flow = { name: "clicks", run: "r", ended: false, stopped: false, actors }, flows = [flow, { ...flow, name: "sums", actors: [] }], led = { leader: "n1", term: 1, flows };
const begin = "`millrace deploy <flow> --key <seed file>`, or start nodes with --flow";

test("placement shows all, a flow, a stage of it or one actor", () => {
  const addresses = (asked: string | undefined) => chosenOf({ flows }, asked).flatMap((one) => one.actors.map(({ actor }) => actor));
  assert.equal(chosenOf({ flows }, undefined), flows);
  assert.equal(chosenOf({ flows }, "sums"), flows.slice(1));
  assert.equal(addresses("clicks/per-page"), ["clicks/per-page/0", "clicks/per-page/1", "clicks/per-page/10"]);
  assert.equal(addresses("clicks/per-page/1"), ["clicks/per-page/1"]);
  for (const asked of ["nope", "nope/per-page/0", "clicks/per", "clicks/per-page/7", ""]) assert.equal(addresses(asked), [], asked);
});

test("where nothing of it is placed it says what was asked for, what is placed, and what to do", () => {
  assert.is(noneText(led, "nope"), `n1 leads, term 1. No flow "nope" is placed; placed: clicks, sums. Name one of these, or begin it: ${begin}.`);
  assert.is(noneText(led, "nope/per-page/0"), noneText(led, "nope"));
  assert.is(noneText(led, "clicks/per-page/7"), 'n1 leads, term 1. Flow clicks has no actor "clicks/per-page/7"; its stages: clicks (1), per-page (3). Write flow/stage/partition, or the flow alone for all of it.');
  assert.is(noneText({ ...led, flows: [] }, "nope"), `n1 leads, term 1. "nope" is not placed: no flow is: ${begin}.`);
  assert.is(noneText({ ...led, flows: [] }, undefined), `n1 leads, term 1. No flow is placed: ${begin}.`);
  assert.match(noneText({ term: 0, flows: [] }, "nope"), /^No cluster has been here/);
});

test("flows names what was asked for, and what there is instead", () => {
  const deploy = "`millrace deploy <flow> --key <seed file>`, or `millrace run <flow>`";
  assert.is(noFlowsText(["clicks"], "nope"), `No flow "nope" is deployed or runs; there is: clicks. Begin it with ${deploy}.`);
  assert.is(noFlowsText(["clicks", "sums"], "nope"), `No flow "nope" is deployed or runs; there are: clicks, sums. Begin it with ${deploy}.`);
  assert.is(noFlowsText([], "nope"), `No flow "nope" is deployed or runs, nor does any other. Begin it with ${deploy}.`);
  assert.is(noFlowsText([], undefined), `No flow is deployed, and none runs: ${deploy}.`);
});

test.run();
