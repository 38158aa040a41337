import { suite } from "uvu";
import * as assert from "uvu/assert";
import { map, pipe, stateful } from "../../../actors/index.ts";
import { type Context, type Emits, RetryableError, TerminalError, UnavailableError } from "../../../runtime/index.ts";
import { ActorBench, type BenchOptions } from "../../support/actor-bench.ts";
import { gate, type Gate } from "../../support/gate.ts";

const test = suite("ahead");
const numbers = (from: number, to: number, key?: (n: number) => string) => Array.from({ length: to - from + 1 }, (_, i) => ({ data: from + i, ...(key === undefined ? {} : { key: key(from + i) }) }));
const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i);

/** Handlers that the test lets end one by one. */
class Calls {
  /** Under way, by event. */
  readonly open = new Map<number, { readonly gate: Gate<void>; readonly ctx: Context }>();
  /** All that were begun, in order. */
  readonly begun: number[] = [];
  readonly aborted: number[] = [];
  most = 0;
  fails: (n: number, attempt: number) => unknown = () => undefined;

  readonly call = async (n: number, ctx: Context): Promise<number> => {
    const its = { gate: gate<void>(), ctx }, attempt = this.begun.filter((one) => one === n).length + 1;
    this.begun.push(n);
    this.open.set(n, its);
    this.most = Math.max(this.most, this.open.size);
    ctx.signal.addEventListener("abort", () => { this.aborted.push(n); if (this.open.get(n) === its) this.open.delete(n); });
    await its.gate.opened;
    if (this.open.get(n) === its) this.open.delete(n);
    const thrown = this.fails(n, attempt);
    if (thrown !== undefined) throw thrown;
    return n;
  };

  end(...events: readonly number[]): void {
    for (const n of events) this.open.get(n)?.gate.open();
  }

  bench(concurrency = 4, options: BenchOptions = {}): ActorBench {
    return new ActorBench(map(this.call as (n: number) => Promise<number>, { concurrency, timeout: "1h" }), options);
  }

  /** Ends all that is under way, again and again, until `check` holds. */
  async run(its: ActorBench, what: string, check: () => boolean): Promise<void> {
    await its.until(what, () => { this.end(...this.open.keys()); return check(); });
  }
}

test("up to `concurrency` handlers are under way, begun in the order of the input", async () => {
  const calls = new Calls(), its = calls.bench(4);
  await its.start();
  its.send(numbers(1, 3));
  its.send(numbers(4, 10));
  await its.until("four are begun", () => calls.begun.length === 4);
  assert.equal(calls.begun, [1, 2, 3, 4]);
  calls.end(1);
  await its.until("the next one is begun", () => calls.begun.length === 5);
  await calls.run(its, "all are there", () => its.data().length === 10);
  assert.equal([calls.begun, calls.most], [range(1, 10), 4]);
});

test("results are let go in the order of the input, whatever the order in which they come", async () => {
  const calls = new Calls(), its = calls.bench(4);
  await its.start();
  its.send(numbers(1, 8));
  await its.until("four are begun", () => calls.begun.length === 4);
  calls.end(4, 3, 2);
  await its.clock.elapse(50);
  assert.equal(its.data(), [], "the first one is not done");
  calls.end(1);
  await its.until("four are there", () => its.data().length === 4);
  calls.end(8, 6, 7);
  await its.clock.elapse(50);
  calls.end(5);
  await its.until("all are there", () => its.data().length === 8);
  assert.equal(its.data(), range(1, 8));
});

test("what is handled ahead is not committed before its turn: a life that ends repeats it, and nothing is lost or doubled", async () => {
  const calls = new Calls(), its = calls.bench(4);
  await its.start();
  its.send(numbers(1, 6));
  await its.until("four are begun", () => calls.begun.length === 4);
  calls.end(1, 3, 4);
  await its.until("the first one is there", () => its.data().length === 1);
  its.kill();
  await its.restart();
  await calls.run(its, "all are there", () => its.data().length === 6);
  assert.equal(its.data(), range(1, 6));
  assert.ok(calls.begun.filter((n) => n === 3).length === 2 && calls.begun.filter((n) => n === 1).length === 1);
});

test("a crash aborts the later ones; all that was not let go runs again, in order", async () => {
  const calls = new Calls(), its = calls.bench(4);
  calls.fails = (n, attempt) => (n === 3 && attempt === 1 ? new Error("boom") : undefined);
  await its.start();
  its.send(numbers(1, 8));
  await its.until("four are begun", () => calls.begun.length === 4);
  calls.end(4, 3, 2, 1);
  assert.is((await its.restart()).class, "crash");
  await calls.run(its, "all are there", () => its.data().length === 8);
  assert.equal(its.data(), range(1, 8));
});

test("an event that is given up does not stop the later ones: their results stand", async () => {
  const calls = new Calls(), its = calls.bench(4);
  calls.fails = (n) => (n === 2 ? new TerminalError("never") : undefined);
  await its.start();
  its.send(numbers(1, 4));
  await its.until("four are begun", () => calls.begun.length === 4);
  calls.end(4, 3, 2, 1);
  await its.until("three are there", () => its.data().length === 3 && its.letters().length === 1);
  assert.equal([its.data(), calls.begun, calls.aborted], [[1, 3, 4], [1, 2, 3, 4], []]);
  assert.equal(its.letters().map(({ code, event }) => [code, event.data]), [["TERMINAL", 2]]);
});

test("an event that asks for a later try holds back its key alone, and keeps its order", async () => {
  const calls = new Calls(), its = calls.bench(4);
  calls.fails = (n, attempt) => (n === 1 && attempt < 3 ? new RetryableError("not now", { retryAfter: "10s" }) : undefined);
  await its.start();
  its.send(numbers(1, 8, (n) => (n % 2 === 1 ? "odd" : "even")));
  await calls.run(its, "the other key is through", () => its.data().length >= 4);
  assert.equal(its.data(), [2, 4, 6, 8]);
  await calls.run(its, "all are there", () => its.data().length === 8);
  assert.equal(its.data().filter((n) => (n as number) % 2 === 1), [1, 3, 5, 7]);
  assert.equal(its.exits, []);
});

test("what is down suspends: the later ones are aborted, and all run again in place, without an exit", async () => {
  const calls = new Calls(), its = calls.bench(4);
  calls.fails = (n, attempt) => (n === 2 && attempt < 3 ? new UnavailableError("down", { retryAfter: "5s" }) : undefined);
  await its.start();
  its.send(numbers(1, 6));
  await its.until("four are begun", () => calls.begun.length === 4);
  calls.end(1, 2);
  await its.until("it is suspended", () => its.states.at(-1) === "unavailable.running");
  assert.ok(calls.aborted.includes(3) && calls.aborted.includes(4));
  const at = its.clock.monotonic();
  await calls.run(its, "all are there", () => its.data().length === 6);
  assert.ok(its.clock.monotonic() - at >= 5_000);
  assert.equal([its.data(), its.exits], [range(1, 6), []]);
  assert.is(its.states.at(-1), "running.active");
});

test("a handler beyond its deadline crashes the actor; its signal aborts; after three lives the event is given up", async () => {
  const calls = new Calls(), its = calls.bench(4, { poison: { after: 3, deadline: "10s" } });
  await its.start();
  its.send(numbers(1, 5));
  for (let life = 1; life <= 3; life++) {
    await its.until("the event is begun", () => calls.begun.filter((n) => n === 2).length === life);
    const at = its.clock.monotonic();
    // All the others come to their end.
    await its.until("the actor is over", () => { calls.end(...[...calls.open.keys()].filter((n) => n !== 2)); return its.exits.length === life; });
    const exit = await its.restart();
    assert.equal([exit.class, exit.error?.name], ["crash", "DeadlineError"]);
    assert.ok(its.clock.monotonic() - at >= 9_000);
    assert.ok(calls.aborted.includes(2));
  }
  await its.until("the others are there, and the letter", () => { calls.end(...[...calls.open.keys()].filter((n) => n !== 2)); return its.data().length === 4 && its.letters().length === 1; });
  assert.equal([its.data(), its.letters().map(({ code, attempts, event }) => [code, attempts, event.data])], [[1, 3, 4, 5], [["POISON", 3, 2]]]);
  assert.is(its.exits.length, 3);
});

test("an event that crashes its actor three times is given up, the third time without an exit", async () => {
  const calls = new Calls(), its = calls.bench(4);
  calls.fails = (n) => (n === 2 ? new Error("boom") : undefined);
  await its.start();
  its.send(numbers(1, 6));
  for (let life = 1; life <= 2; life++) {
    await calls.run(its, "the actor is over", () => its.exits.length === life);
    await its.restart();
  }
  await calls.run(its, "the others are there, and the letter", () => its.data().length === 5 && its.letters().length === 1);
  assert.equal([its.data(), its.letters().map(({ code, attempts, event }) => [code, attempts, event.data])], [[1, 3, 4, 5, 6], [["POISON", 3, 2]]]);
  assert.is(its.poisoned.length, 1);
});

test("a handler that goes on after it was aborted has no effect", async () => {
  const late: unknown[] = [], calls = new Calls(), held = gate<void>();
  const its = new ActorBench(pipe(map(async (n: number, ctx: Context) => {
    const result = await calls.call(n, ctx);
    // The first try of 3 goes on although it was aborted.
    if (n === 3 && calls.begun.filter((one) => one === 3).length === 1) await held.opened;
    late.push(n);
    return result;
  }, { concurrency: 4, timeout: "1h" }), map((n: number) => n)));
  calls.fails = (n, attempt) => (n === 2 && attempt === 1 ? new UnavailableError("down", { retryAfter: 100 }) : undefined);
  await its.start();
  its.send(numbers(1, 4));
  await its.until("four are begun", () => calls.begun.length === 4);
  const third = calls.open.get(3);
  calls.end(1, 2);
  await its.until("it is suspended", () => its.states.at(-1) === "unavailable.running");
  third?.gate.open();
  held.open();
  await calls.run(its, "all are there", () => its.data().length === 4);
  await its.clock.elapse(1_000);
  assert.equal([its.data(), late.filter((n) => n === 3).length], [[1, 2, 3, 4], 2]);
});

test("steps with state come after, one event at a time and in order; time and type of each stay its own", async () => {
  const calls = new Calls(), its = new ActorBench(pipe(
    map(calls.call as (n: number) => Promise<number>, { concurrency: 4, timeout: "1h" }),
    stateful({ initial: () => 0, on: async (sum: number, n: number, ctx: Emits<unknown>) => { await null; ctx.emit([n, sum + n, ctx.event.time]); return sum + n; } })));
  await its.start();
  its.send(range(1, 6).map((n) => ({ data: n, key: "k", time: n * 10 })));
  await its.until("four are begun", () => calls.begun.length === 4);
  calls.end(4, 2, 3, 1);
  await calls.run(its, "all are there", () => its.data().length === 6);
  assert.equal(its.data(), [[1, 1, 10], [2, 3, 20], [3, 6, 30], [4, 10, 40], [5, 15, 50], [6, 21, 60]]);
  assert.equal(its.events().map(({ time }) => time), [10, 20, 30, 40, 50, 60]);
});

test("a stop waits for no handler that runs ahead: they are aborted, and run again in the next life", async () => {
  const calls = new Calls(), its = calls.bench(4);
  await its.start();
  its.send(numbers(1, 4));
  await its.until("four are begun", () => calls.begun.length === 4);
  calls.end(1);
  await its.until("the first one is there", () => its.data().length === 1);
  await its.stop();
  assert.equal([its.log().at(-1)?.kind, calls.aborted.sort()], ["stop", [2, 3, 4]]);
  await its.start();
  await calls.run(its, "all are there", () => its.data().length === 4);
  assert.equal(its.data(), range(1, 4));
});

test("a handler that returns at once, and one that throws at once, keep their place", async () => {
  const its = new ActorBench(map((n: number) => { if (n === 3) throw new TerminalError("never"); return n % 2 === 0 ? Promise.resolve(n) : n; }, { concurrency: 3 }));
  await its.start();
  its.send(numbers(1, 6));
  await its.until("all are there", () => its.data().length === 5);
  assert.equal(its.data(), [1, 2, 4, 5, 6]);
});

test("a frame without events between two others holds nothing up: what is let go after it is past, once, and the end comes", async () => {
  const calls = new Calls(), its = calls.bench(4);
  await its.start();
  its.send(numbers(1, 1));
  its.send([], { watermark: 5 });
  its.send(numbers(2, 2));
  its.send([], { watermark: 6 });
  its.end();
  await its.until("both are begun", () => calls.open.size === 2);
  // The second one first: with the first both are let go.
  calls.end(2);
  await its.until("the second one waits for its turn", () => calls.open.size === 1);
  calls.end(1);
  assert.is((await its.ended()).class, "normal");
  assert.equal([its.data(), calls.begun], [[1, 2], [1, 2]]);
});

test("the end comes after the last result", async () => {
  const calls = new Calls(), its = calls.bench(4);
  await its.start();
  its.send(numbers(1, 4));
  its.end();
  await its.until("four are begun", () => calls.begun.length === 4);
  await its.clock.elapse(1_000);
  assert.equal(its.frames(), []);
  calls.end(1, 2, 3, 4);
  assert.is((await its.ended()).class, "normal");
  assert.equal([its.data(), its.frames().at(-1)?.note], [range(1, 4), ["end"]]);
});

test.run();
