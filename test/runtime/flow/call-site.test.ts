import { suite } from "uvu";
import * as assert from "uvu/assert";
import { callSite, locationOf } from "../../../runtime/flow/call-site.ts";

const test = suite("call site");
const here = "test/runtime/flow/call-site.test.ts";
const at = (stack: unknown) => locationOf({ stack });

function declare() {
  return callSite(declare);
}

test("a call is found by its file and line, as TypeScript has them", () => {
  const [first, second] = [
    declare(),
    declare(),
  ];
  const [, line] = /:(\d+)$/.exec(locationOf(first) ?? "") ?? [];
  assert.is(locationOf(first), `${here}:${line}`);
  assert.is(locationOf(second), `${here}:${Number(line) + 1}`);
});

test("the limit of other stacks stays as it was", () => {
  const limit = Error.stackTraceLimit;
  declare();
  assert.is(Error.stackTraceLimit, limit);
});

test("every form of a frame is read, and a path outside of the current directory stays whole", () => {
  const cwd = process.cwd();
  assert.is(at(`x\n    at build (file://${cwd}/flow.ts:12:20)`), "flow.ts:12");
  assert.is(at(`x\n    at file://${cwd}/flows/a%20b.ts:3:1`), "flows/a b.ts:3");
  assert.is(at(`x\n    at new Flow (${cwd}/flow.cjs:7:9)`), "flow.cjs:7");
  assert.is(at(`x\n    at async Object.build (${cwd}/flow.js:1:1)`), "flow.js:1");
  assert.is(at("x\n    at build (/elsewhere/flow.ts:12:20)"), "/elsewhere/flow.ts:12");
  assert.is(at("x\n    at node:internal/main:1:1"), "node:internal/main:1");
});

test("where nothing is known nothing is said", () => {
  for (const stack of [undefined, "", "Error: no frames", [{}], "x\n    at <anonymous>"]) assert.is(at(stack), undefined);
});

test.run();
