import { inspect } from "node:util";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { isPromise, shown, sortOf } from "../../../runtime/flow/display.ts";
import { defineFlow } from "../../../runtime/index.ts";
import { sink, source, step } from "../../support/flow-parts.ts";

const test = suite("display");

test("a value is shown on one line of at most 60 characters", () => {
  assert.is(shown("a\nb"), '"a\\nb"');
  assert.is(shown({ min: 1, max: 8 }), "{ min: 1, max: 8 }");
  for (const long of ["x".repeat(100), Array.from({ length: 1_000 }, () => "some text"), { a: "x".repeat(100) }, { a: { b: { c: 1 } }, d: "\n".repeat(60) }]) {
    const text = shown(long);
    assert.ok(text.length <= 60 && !text.includes("\n"), text);
    assert.ok(text.endsWith("…") || text.includes("more items"), text);
  }
});

test("nothing of a value is run to show it", () => {
  const run = () => { throw new Error("run"); };
  assert.is(shown({ get a() { return run(); } }), "{ a: [Getter] }");
  assert.type(shown({ [inspect.custom]: run, toString: run, toJSON: run }), "string");
});

test("each sort of thing has its word", () => {
  const flow = defineFlow("f", (builder) => {
    const feed = builder.source("feed", source());
    assert.is(sortOf(feed), "a stream");
    assert.is(sortOf(feed.keyBy(() => 1)), "a stream");
    assert.is(sortOf(builder.sink("out", feed, sink())), "the handle of a sink");
  });
  const words: readonly (readonly [unknown, string])[] = [
    [flow, "a flow"], [source(), "a source"], [sink(), "a sink"], [step("map"), "an operator"],
    [() => 1, "a function"], [class {}, "a function"], [[], "an array"], [{}, "an object"], [Promise.resolve(), "a promise"],
    [undefined, "undefined"], [null, "null"], [3, "3"], ["x", '"x"'], [Symbol("s"), "Symbol(s)"], [1n, "1n"],
  ];
  for (const [value, word] of words) assert.is(sortOf(value), word);
});

test("a promise is what has a then to call", () => {
  assert.ok(isPromise(Promise.resolve()));
  assert.ok(isPromise({ then() {} }));
  for (const other of [undefined, null, 1, {}, { then: 1 }, () => {}]) assert.not.ok(isPromise(other));
});

test.run();
