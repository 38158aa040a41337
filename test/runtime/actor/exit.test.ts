import { suite } from "uvu";
import * as assert from "uvu/assert";
import { exitOf } from "../../../runtime/actor/exit.ts";
import { MillraceError, RetryableError, TerminalError, UnavailableError } from "../../../runtime/event/errors.ts";

const test = suite("exit");
const coded = (code: string): MillraceError => new MillraceError(code, "f/s/0", "what", "remedy");

for (const [name, thrown, of] of [
  ["an ordinary error", new Error("boom"), "crash"],
  ["a text that was thrown", "boom", "crash"],
  ["undefined that was thrown", undefined, "crash"],
  ["an UnavailableError", new UnavailableError("down"), "unavailable"],
  // Handled per event by the engine; one that comes so far was thrown elsewhere.
  ["a TerminalError", new TerminalError("never"), "crash"],
  ["a RetryableError", new RetryableError("later"), "crash"],
  ["UNREACHABLE", coded("UNREACHABLE"), "unavailable"],
  ["JOURNAL_NO_ROOM", coded("JOURNAL_NO_ROOM"), "unavailable"],
  ["STREAM_MISSING", coded("STREAM_MISSING"), "unavailable"],
  ["FENCED", coded("FENCED"), "fenced"],
  ["HISTORY_FORKED", coded("HISTORY_FORKED"), "parked"],
  ["BROKER_WENT_BACK", coded("BROKER_WENT_BACK"), "parked"],
  ["MIGRATE_MISSING", coded("MIGRATE_MISSING"), "parked"],
  ["SINK_TAKEN", coded("SINK_TAKEN"), "parked"],
  ["BYTES_REFUSED: no restart mends a log that holds something else", coded("BYTES_REFUSED"), "parked"],
  ["another code", coded("JOURNAL_FAILED"), "crash"],
  ["a code named as a method of objects", coded("toString"), "crash"],
] as const) {
  test(`${name} is an exit of class ${of}`, () => {
    const exit = exitOf(thrown, "f/a/0 #7[1]");
    assert.is(exit.class, of);
    assert.is(exit.event, "f/a/0 #7[1]");
    assert.instance(exit.error, Error);
  });
}

test("retryAfter is carried in milliseconds, one that is no duration is left out", () => {
  assert.is(exitOf(new UnavailableError("down", { retryAfter: "5s" })).retryAfterMs, 5_000);
  assert.not.ok("retryAfterMs" in exitOf(new UnavailableError("down", { retryAfter: "soon" as never })));
});

test.run();
