// What a test sees of handlers that throw, hang or change what they are handed, of mistakes of its own, and of its end.
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { defineFlow, type Emits, RetryableError, type StageOptions, TerminalError, UnavailableError } from "millrace";
import { aggregate, jsonl, map, pipe, stateful } from "millrace/actors";
import { advance, at, crash, end, testFlow } from "millrace/testing";
import { MillraceError } from "../../../runtime/event/errors.ts";
import { gate } from "../../support/gate.ts";
import { rejection } from "../../support/rejection.ts";
import { loose } from "./cases.ts";

const test = suite("test flow, errors");

/** A flow of one stage that handles numbers. */
const handling = (change: (n: number, ctx: { readonly attempt: number; readonly signal: AbortSignal }) => unknown, options: StageOptions = {}, calls = {}) => defineFlow("handling", (flow) => {
  const numbers = flow.source("numbers", jsonl.source<number>("x"));
  const handled = flow.processor("handled", numbers, options, map(change, calls));
  return { numbers, handled, out: flow.sink("out", handled, jsonl.sink("x")) };
});

test("a handler that throws once is tried again from its journal: nothing is lost, nothing twice", async () => {
  let thrown = 0;
  await using t = await testFlow(handling((n) => {
    if (n % 2 === 0 && thrown < n) { thrown = n; throw new Error(`not yet ${n}`); }
    return n;
  }));
  await t.send("numbers", 1, 2, 3, 4, 5);
  assert.equal([t.output("out"), t.deadLetters()], [[1, 2, 3, 4, 5], []]);
});

test("an event that throws each time is a dead letter after poison.after tries, and the others go on", async () => {
  for (const after of [1, 3, 9]) {
    const tries: number[] = [];
    await using t = await testFlow(handling((n, ctx) => {
      if (n === 2) { tries.push(ctx.attempt); throw new TypeError("two is odd"); }
      return n;
    }, { poison: { after } }));
    await t.send("numbers", 1, 2, 3);
    assert.equal([t.output("out"), tries], [[1, 3], Array.from({ length: after }, (_, i) => i + 1)]);
    const [letter, ...more] = t.deadLetters("handled");
    assert.equal([letter?.reason, letter?.event.data, letter?.event.source, more], ["POISON", 2, "handling/numbers/0", []]);
    assert.ok(letter?.error instanceof Error);
    assert.equal([letter.error.name, letter.error.message], ["TypeError", "two is odd"]);
    assert.match(letter.error.stack ?? "", /test-flow-errors\.test/);
    assert.equal(t.deadLetters("out"), []);
  }
});

test("many poisoned events cost no restart budget", async () => {
  await using t = await testFlow(handling((n) => { throw new Error(`no ${n}`); }));
  await t.send("numbers", ...Array.from({ length: 12 }, (_, n) => n));
  assert.equal(t.deadLetters().map(({ reason, event }) => `${reason} ${event.data}`), Array.from({ length: 12 }, (_, n) => `POISON ${n}`));
});

test("where a supervisor would give up, send rejects: stage, event and cause are named, and it stays so", async () => {
  await using t = await testFlow(handling((n) => {
    if (n === 2) throw new RangeError("boom");
    return n;
  }, { supervision: { restart: "temporary" } }), { seed: 42 });
  const error = await rejection(t.send("numbers", 1, 2, 3));
  assert.equal([error.code, error.where], ["GIVEN_UP", "handling/handled/0"]);
  assert.match(error.message, /^Stage "handled" was given up: RangeError: boom \(at event handling\/numbers\/0@testrun0-1\.\d+\.\d+, 2\); seed 42/);
  assert.ok(error.cause instanceof RangeError);
  assert.is(await rejection(t.advance("1s")), error);
  assert.equal(t.output("out"), [1], "what was committed before is still seen");
});

test("more events that crash than a supervisor allows", async () => {
  const seen = new Set<number>();
  await using t = await testFlow(handling((n) => {
    if (seen.has(n)) return n;
    seen.add(n);
    throw new Error(`first ${n}`);
  }));
  const error = await rejection(t.send("numbers", 1, 2, 3, 4, 5, 6, 7));
  assert.is(error.code, "GIVEN_UP");
  assert.match(error.message, /after 5 restarts: Error: first 6 \(at event .*, 6\); seed 1/);
});

test("TerminalError is a dead letter at once", async () => {
  let calls = 0;
  await using t = await testFlow(handling((n) => { calls++; throw new TerminalError(`never ${n}`); }));
  await t.send("numbers", 7);
  assert.equal([calls, t.deadLetters().map(({ reason, error }) => [reason, error.message])], [1, [["TERMINAL", "never 7"]]]);
});

test("RetryableError waits for the clock, and others do not wait for it", async () => {
  const attempts: number[] = [];
  await using t = await testFlow(handling((n, { attempt }) => {
    if (n === 2 && attempt < 3) { attempts.push(attempt); throw new RetryableError("busy", { retryAfter: "10s" }); }
    return n;
  }));
  await t.send("numbers", 1, 2, 3);
  assert.equal(t.output("out"), [1, 3]);
  await t.advance("9999ms");
  assert.equal([t.output("out"), attempts], [[1, 3], [1]]);
  await t.send("numbers", advance(1));
  assert.equal([t.output("out"), attempts], [[1, 3], [1, 2]]);
  await t.end();
  assert.equal(t.output("out"), [1, 3], "an end does not make time go on");
  await t.advance("20s");
  assert.equal(t.output("out"), [1, 3, 2]);
});

test("UnavailableError suspends the stage until the clock lets it try again", async () => {
  let up = false;
  await using t = await testFlow(handling((n) => {
    if (!up) throw new UnavailableError("the other side is down", { retryAfter: "30s" });
    return n;
  }));
  await t.send("numbers", 1, 2);
  up = true;
  await t.advance("29s");
  assert.equal(t.output("out"), []);
  await t.advance("1s");
  assert.equal([t.output("out"), t.deadLetters()], [[1, 2], []]);
});

const Checked = (validate: (value: unknown) => unknown) => ({ "~standard": { version: 1, vendor: "test", validate } }) as const;

test("what a schema refuses, or a time that is none, is a dead letter of its source", async () => {
  const flow = defineFlow("checked", (builder) => {
    const source = builder.source("items", jsonl.source<{ at: string }>("x"), {
      schema: Checked(async (value) => { await new Promise(setImmediate); return (value as { bad?: boolean }).bad ? { issues: [{ message: "is bad", path: ["bad"] }] } : { value }; }),
      time: (item: { at: string }) => item.at,
    });
    return { items: source, out: builder.sink("out", source, jsonl.sink("x")) };
  });
  await using t = await loose(flow);
  await t.send("items", { at: "2024-01-01" }, { at: "2024-01-01", bad: true }, { at: "tomorrow" }, at(5, { at: "whenever" }), { at: "2024-01-02", of: new (class Thing {})() });
  assert.equal(t.output("out"), [{ at: "2024-01-01" }, { at: "whenever" }]);
  assert.equal(t.deadLetters("items").map(({ reason }) => reason), ["SCHEMA", "TIME_INVALID", "UNSERIALIZABLE"]);
});

test("data and state that are changed in place are seen", async () => {
  interface Order { id: string; lines: { n: number }[]; at: Date; tags: Map<string, number>; kinds: Set<string> }
  const changes: Readonly<Record<string, (order: Order) => unknown>> = {
    field: (order) => { order.id = "x"; },
    list: (order) => order.lines.push({ n: 2 }),
    nested: (order) => { (order.lines[0] as { n: number }).n = 2; },
    sort: (order) => order.lines.sort(),
    date: (order) => order.at.setFullYear(1999),
    map: (order) => order.tags.set("b", 2),
    set: (order) => order.kinds.clear(),
    added: (order) => Object.assign(order, { more: 1 }),
  };
  for (const [name, change] of Object.entries(changes)) {
    const flow = defineFlow("changing", (builder) => {
      const orders = builder.source("orders", jsonl.source<Order>("x"));
      return { orders, same: builder.processor("same", orders, map((order: Order) => { change(order); return order; })) };
    });
    await using t = await testFlow(flow);
    await t.send("orders", { id: "a", lines: [{ n: 1 }, { n: 0 }], at: new Date(0), tags: new Map([["a", 1]]), kinds: new Set(["k"]) });
    assert.equal(t.deadLetters().map(({ reason, error }) => [reason, error.name]), [["POISON", "TypeError"]], name);
  }
});

test("state that is changed in place is seen, kept, emitted or from a journal", async () => {
  const flow = defineFlow("changing", (builder) => {
    const source = builder.source("items", jsonl.source<{ key: string; how: string }>("x"));
    const lists = builder.processor("lists", source.keyBy((item) => item.key), stateful({
      initial: () => ({ list: [] as number[] }),
      on(state, { how }, ctx: Emits<{ list: number[] }>) {
        if (how === "in place") { state.list.push(1); return state; }
        const next = { list: [...state.list, 1] };
        ctx.emit(next);
        if (how === "emitted") next.list.push(2);
        return next;
      },
    }));
    const sums = builder.processor("sums", source.keyBy((item) => item.key), aggregate({ initial: () => ({ n: 0 }), add: (sum, { how }) => (how === "in place" ? Object.assign(sum, { n: sum.n + 1 }) : { n: sum.n + 1 }) }));
    return { items: source, lists, sums };
  });
  await using t = await testFlow(flow);
  await t.send("items", { key: "a", how: "well" }, { key: "a", how: "in place" }, { key: "a", how: "emitted" }, crash("lists"), crash("sums"), { key: "a", how: "in place" }, { key: "a", how: "well" });
  assert.equal(t.deadLetters("lists").map(({ reason, event, error }) => [reason, (event.data as { how: string }).how, error.name]), [["POISON", "in place", "TypeError"], ["POISON", "emitted", "TypeError"], ["POISON", "in place", "TypeError"]]);
  assert.is(t.deadLetters("sums").length, 2);
  assert.equal([t.state("lists", "a"), t.state("sums", "a")], [{ list: [1, 1] }, { n: 3 }]);
});

test("handlers that are not done at once are waited for, many at a time, in order", async () => {
  let under = 0, most = 0;
  await using t = await testFlow(handling(async (n) => {
    most = Math.max(most, ++under);
    for (let i = 0; i < 1 + ((n * 7) % 5); i++) await new Promise(setImmediate);
    under--;
    return n;
  }, {}, { concurrency: 4 }));
  await t.send("numbers", ...Array.from({ length: 20 }, (_, n) => n));
  assert.equal(t.output("out"), Array.from({ length: 20 }, (_, n) => n));
  assert.is(most, 4);
});

test("a crash while handlers are under way: what they do is void, and done again", async () => {
  const opened = gate(), begun: number[] = [];
  await using t = await testFlow(handling(async (n) => {
    begun.push(n);
    if (begun.length > 2) await opened.opened;
    return n;
  }, {}, { concurrency: 3 }));
  await t.send("numbers", 1, crash("handled", "before-commit"));
  assert.equal([begun, t.output("out")], [[1, 1], [1]]);
  const sent = t.send("numbers", 2, 3, 4);
  opened.open();
  await sent;
  assert.equal(t.output("out"), [1, 2, 3, 4]);
});

test("a handler that hangs meets its deadline in real time", async () => {
  const aborted: boolean[] = [];
  await using t = await testFlow(handling((n, { signal }) => {
    if (n !== 2) return n;
    return new Promise(() => { signal.addEventListener("abort", () => aborted.push(true)); });
  }, { poison: { deadline: "20ms" } }));
  await t.send("numbers", 1, 2, 3);
  assert.equal([t.output("out"), aborted], [[1, 3], [true, true, true]]);
  assert.equal(t.deadLetters().map(({ reason, event }) => [reason, event.data]), [["POISON", 2]]);
});

for (const after of [1, 3]) {
  test(`a handler of a stage with isolate that never gives the loop back is ended at its deadline; its event is a dead letter, all else goes through once (poison.after ${after})`, async () => {
    let begun = 0;
    const loops = (): never => { for (;;) begun++; };
    await using t = await testFlow(defineFlow("looping", (flow) => {
      const numbers = flow.source("numbers", jsonl.source<number>("x"));
      const handled = flow.processor("handled", numbers.keyBy((n) => n % 2), { isolate: "worker", poison: { deadline: "30ms", after } }, pipe(map((n: number) => n), stateful({
        initial: () => 0,
        on(sum: number, n: number, ctx: Emits<number[]>) { ctx.emit([n, sum + n]); if (n === 4) loops(); return sum + n; },
      })));
      return { numbers, handled, out: flow.sink("out", handled, jsonl.sink("x")) };
    }));
    await t.send("numbers", 1, 2, 3, 4, 5, 6);
    assert.equal([...t.output("out")].sort(([a], [b]) => (a as number) - (b as number)), [[1, 1], [2, 2], [3, 4], [5, 9], [6, 8]]);
    assert.equal(t.deadLetters().map(({ reason, event }) => [reason, event.data]), [["POISON", 4]]);
    assert.ok(begun > 0);
    await t.send("numbers", 7, 8);
    assert.equal(t.output("out").slice(5), [[7, 16], [8, 16]]);
  });
}

test("what a handler of a stage with isolate gives and throws is as without it", async () => {
  const flow = (options: StageOptions & { isolate?: "worker" }) => handling((n, { attempt }) => {
    if (n === 2 && attempt === 1) throw new RetryableError("not now", { retryAfter: "1s" });
    if (n === 3) throw new TerminalError("never");
    if (n === 4) throw new TypeError("four");
    return n % 2 === 0 ? Promise.resolve(n) : n;
  }, options);
  const seen: unknown[] = [];
  for (const options of [{}, { isolate: "worker" }] as const) {
    await using t = await testFlow(flow(options));
    await t.send("numbers", 1, 2, 3, 4, 5, 6, advance("2s"));
    seen.push([t.output("out"), t.deadLetters().map(({ reason, event, error: { name, message } }) => [reason, event.data, name, message])]);
  }
  assert.equal(seen[1], seen[0]);
  assert.equal(seen[0], [[1, 5, 6, 2], [["TERMINAL", 3, "TerminalError", "never"], ["POISON", 4, "TypeError", "four"]]]);
});

test("an end in the middle: what is under way is told, what waits rejects, nothing runs any more", async () => {
  let signal: AbortSignal | undefined;
  const reached = gate();
  const t = await testFlow(handling((_n, ctx) => { signal = ctx.signal; reached.open(); return new Promise(() => {}); }));
  const sent = rejection(t.send("numbers", 1)), next = rejection(t.advance("1s"));
  await reached.opened;
  await t[Symbol.asyncDispose]();
  await t[Symbol.asyncDispose]();
  assert.is(signal?.aborted, true);
  assert.equal([(await sent).code, (await next).code, (await rejection(t.send("numbers", 2))).code], ["TEST_OVER", "TEST_OVER", "TEST_OVER"]);
  assert.equal([t.output("numbers"), t.output("out")], [[1], []]);
});

test("mistakes in a test are told, with what there is", async () => {
  await using t = await loose(handling((n) => n));
  const told: readonly (readonly [call: () => Promise<unknown>, code: string, text: RegExp])[] = [
    [() => t.send("handled", 1), "NOT_FOUND", /has no source "handled" .* It has: numbers\./],
    [() => t.send("number", 1), "NOT_FOUND", /has no source "number"/],
    [() => t.send("numbers", 1, crash("handle")), "NOT_FOUND", /has no stage "handle" .* It has: numbers, handled, out\./],
    [() => t.crash("handle"), "NOT_FOUND", /has no stage "handle"/],
    [() => t.crash("handled", "in the middle"), "OPTION_INVALID", /"in the middle" is no point of a turn .* Give one of before-handler, /],
    [() => t.advance("10 minutes"), "OPTION_INVALID", /"10 minutes" is no length of time/],
    [async () => t.output("outt"), "NOT_FOUND", /has no stage "outt"/],
    [async () => t.output("handled", "late"), "NOT_FOUND", /Stage "handled" has no output "late" .* It has: none but its own stream\./],
    [async () => t.output("out", "late"), "NOT_FOUND", /Stage "out" has no output "late"/],
    [async () => t.state("handled", "a"), "NOT_FOUND", /Stage "handled" keeps no state by key/],
    [async () => t.query("out", "a", "count"), "NOT_FOUND", /Stage "out" keeps no state by key/],
    [async () => t.deadLetters("outt"), "NOT_FOUND", /has no stage "outt"/],
    [async () => at("tomorrow", 1), "TIME_INVALID", /"tomorrow" is no time/],
    [async () => advance(-1), "OPTION_INVALID", /-1 is no length of time/],
    [async () => crash("handled", "later" as never), "OPTION_INVALID", /"later" is no point of a turn/],
    [() => testFlow({ name: "x" } as never), "OPTION_INVALID", /testFlow got an object .* Give it what defineFlow returned\./],
    [() => testFlow(handling((n) => n), { start: "soon" }), "OPTION_INVALID", /start of testFlow is "soon"/],
    [() => testFlow(handling((n) => n), { seed: 1.5 }), "OPTION_INVALID", /seed of testFlow is 1\.5/],
  ];
  for (const [call, code, text] of told) {
    const error = await rejection(call());
    assert.is(error.code, code, error.message);
    assert.match(error.message, text);
  }
  assert.equal(t.output("out"), [], "a send with a mistake in it sent nothing");
  await t.send("numbers", 1, end);
  const ended = await rejection(t.send("numbers", 2));
  assert.ok(ended instanceof MillraceError);
  assert.equal([ended.code, t.output("out")], ["SOURCE_ENDED", [1]]);
});

test("a question that a stage does not answer, or a key that is none, is told", async () => {
  const flow = defineFlow("asked", (builder) => {
    const source = builder.source("items", jsonl.source<{ key: string }>("x"));
    return { items: source, counts: builder.processor("counts", source.keyBy((item) => item.key), stateful({ initial: () => 0, on: (n) => n + 1, queries: { twice: (n) => n * 2 } })) };
  });
  await using t = await loose(flow);
  await t.send("items", { key: "a" });
  assert.equal([t.query("counts", "a", "twice"), t.query("counts", "b", "twice")], [2, undefined]);
  assert.throws(() => t.query("counts", "a", "thrice"), /answers no query "thrice" .* It answers: twice\./);
  assert.throws(() => t.state("counts", { key: "a" }), /is no key/);
});

test.run();
