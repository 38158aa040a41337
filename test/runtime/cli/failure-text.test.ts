import { suite } from "uvu";
import * as assert from "uvu/assert";
import { failureText } from "../../../runtime/cli/failure-text.ts";
import { MillraceError } from "../../../runtime/event/errors.ts";
import { record } from "../../support/recording-stream.ts";

const test = suite("failure-text");
const { colors } = record().terminal;

test("an error of ours: message, where, what to do, code, each once, no stack", () => {
  assert.is(failureText(new MillraceError("DATA_FOLDER_BUSY", ".millrace/run.lock", "process 7 has this data folder", "Stop that run."), colors, false), `
Error: process 7 has this data folder
  where  .millrace/run.lock
  do     Stop that run.
  code   DATA_FOLDER_BUSY`.slice(1));
});

test("a place that the message names is not told twice", () => {
  assert.not.match(failureText(new MillraceError("PARKED", "f/s/0", "f/s/0 is parked: no", "Mend it."), colors, false), /where/);
});

test("any other error is told by its name and message, and how to see more", () => {
  assert.is(failureText(new TypeError("x is not a function"), colors, false), "Error: TypeError: x is not a function\n  do     This is a fault of Millrace or of code that it ran: see it again with --verbose.");
  assert.match(failureText("a text", colors, false), /Error: a text/);
});

test("with --verbose there are the stacks, the causes' too", () => {
  const text = failureText(new MillraceError("X", "y", "z", "w", { cause: new Error("below", { cause: new Error("deepest") }) }), colors, true);
  for (const part of [/at .*failure-text\.test\.ts/, /caused by Error: below/, /caused by Error: deepest/]) assert.match(text, part);
});

test.run();
