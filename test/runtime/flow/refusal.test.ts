import { inspect } from "node:util";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { Problem } from "../../../runtime/event/errors.ts";
import { refusalOf } from "../../../runtime/flow/refusal.ts";

const test = suite("refusal");

const taken: Problem = { code: "NAME_TAKEN", where: "f/felt", message: 'two stages are named "felt"', remedy: "rename one", at: "flow.ts:9" };
const unknown: Problem = { code: "OPTION_UNKNOWN", where: "f/by-region", message: 'stage "by-region" has no option "paralelism"', remedy: 'did you mean "parallelism"?', at: "flow.ts:112" };
const { at: _, ...nowhere } = taken;

function define(problems: readonly Problem[], thrown?: { error: unknown }) {
  return refusalOf("f", problems, thrown, define);
}

test("problems are numbered and stand in columns, one after the other", () => {
  assert.is(define([taken, unknown]).message, [
    '2 problems in flow "f"',
    "",
    "  1  flow.ts:9    f/felt       NAME_TAKEN",
    '     two stages are named "felt": rename one',
    "",
    "  2  flow.ts:112  f/by-region  OPTION_UNKNOWN",
    '     stage "by-region" has no option "paralelism": did you mean "parallelism"?',
    "",
    "The flow is refused (FLOW_INVALID, f). Mend these and start again.",
  ].join("\n"));
});

test("numbers of two digits keep the columns", () => {
  const lines = define(Array.from({ length: 10 }, () => taken)).message.split("\n");
  assert.is(lines[2], "   1  flow.ts:9  f/felt  NAME_TAKEN");
  assert.is(lines[29], "  10  flow.ts:9  f/felt  NAME_TAKEN");
  assert.is(lines[30], '      two stages are named "felt": rename one');
});

test("where no line is known there is no column for it", () => {
  assert.match(define([nowhere]).message, '1 problem in flow "f"\n\n  1  f/felt  NAME_TAKEN\n');
  assert.match(define([nowhere, unknown]).message, "\n  1               f/felt       NAME_TAKEN\n");
});

test("what the builder threw is told last, and kept as the cause", () => {
  const error = new TypeError("x is undefined");
  const refused = define([taken], { error });
  assert.is(refused.cause, error);
  assert.match(refused.message, "\n\n  Then the builder threw: x is undefined\n\nThe flow is refused");
  assert.match(define([taken], { error: "a text" }).message, "Then the builder threw: a text");
  assert.is("cause" in define([taken]), false);
});

test("the error has its problems, and does not print them twice where nobody catches it", () => {
  const refused = define([taken, unknown]);
  assert.equal(refused.problems, [taken, unknown]);
  assert.is(refused.code, "FLOW_INVALID");
  assert.is(inspect(refused).split("NAME_TAKEN").length, 2);
});

test("its stack begins where the flow was defined", () => {
  assert.match(define([taken]).stack?.split("\n").find((line) => line.startsWith("    at ")) ?? "", "refusal.test.ts");
});

test.run();
