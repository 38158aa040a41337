import { suite } from "uvu";
import * as assert from "uvu/assert";
import { flatMap, map } from "../../actors/index.ts";
import { type Context, RetryableError, TerminalError } from "../../runtime/index.ts";
import { OperatorTwin } from "../support/operator-twin.ts";
import { rejection } from "../support/rejection.ts";

const test = suite("call");
const never = new Promise<never>(() => {});

test("a call that is not done in time fails with CALL_TIMEOUT, and its signal aborts", async () => {
  let signal: AbortSignal | undefined;
  const twin = new OperatorTwin(map((_: string, ctx: Context) => { signal = ctx.signal; return never; }, { timeout: 1 }));
  const { code, where, remedy } = await rejection(Promise.resolve(twin.send("a")));
  assert.is(code, "CALL_TIMEOUT");
  assert.is(where, "test/stage/0");
  assert.match(remedy, "ctx.signal");
  assert.ok(signal?.aborted);
});

test("a signal that is asked for after the time-out is aborted", async () => {
  let ctx: Context | undefined;
  const twin = new OperatorTwin(map((_: string, given: Context) => { ctx = given; return never; }, { timeout: 1 }));
  await rejection(Promise.resolve(twin.send("a")));
  assert.ok(ctx?.signal.aborted);
});

test("an event that is cancelled is waited for no longer, and the signals of all its calls abort", async () => {
  const signals: AbortSignal[] = [];
  const twin = new OperatorTwin(map((_: number, ctx: Context) => { signals.push(ctx.signal); return never; }));
  const pending = [1, 2].map((n) => Promise.resolve(twin.send(n)).catch((thrown: Error) => thrown.message));
  twin.stop();
  assert.equal(await Promise.all(pending), ["stopped", "stopped"]);
  assert.equal(signals.map((signal) => signal.aborted), [true, true]);
  assert.is(await Promise.resolve(twin.send(3)).catch((thrown: Error) => thrown.message), "stopped");
});

test("when one of two calls is done the other is still cancelled with its event", async () => {
  const twin = new OperatorTwin(map((data: string) => (data === "quick" ? Promise.resolve(data) : never)));
  const pending = Promise.resolve(twin.send("slow")).catch((thrown: Error) => thrown.message);
  await twin.send("quick");
  twin.stop();
  assert.is(await pending, "stopped");
});

test("each call has a signal of its own", () => {
  const signals: AbortSignal[] = [];
  const twin = new OperatorTwin(map((_: number, ctx: Context) => { signals.push(ctx.signal); return ctx.signal === ctx.signal; }));
  for (const n of [1, 2]) twin.send(n);
  assert.equal(twin.data, [true, true]);
  assert.is.not(signals[0], signals[1]);
});

test("a hundred calls at once make no warning of listeners", async () => {
  const warnings: string[] = [];
  const listen = (warning: Error) => void warnings.push(warning.message);
  process.on("warning", listen);
  let open = () => {};
  const opened = new Promise<void>((resolve) => { open = resolve; });
  const twin = new OperatorTwin(map(async (n: number, ctx: Context) => { await opened; return ctx.signal.aborted ? -1 : n; }, { concurrency: 100 }));
  const pending = Array.from({ length: 100 }, (_, n) => twin.send(n));
  open();
  await Promise.all(pending);
  await new Promise((resolve) => setImmediate(resolve));
  process.off("warning", listen);
  assert.is(twin.out.length, 100);
  assert.equal(warnings, []);
});

test("retry tries again until it works, and says how many tries it took", async () => {
  const twin = new OperatorTwin(map((_: string, ctx: Context) => {
    if (ctx.attempt < 3) throw new Error("not yet");
    return ctx.attempt;
  }, { retry: { attempts: 3, min: 1, max: 1 } }));
  await twin.send("a");
  assert.equal(twin.data, [3]);
});

test("retry that works at the first try costs no promise", () => {
  const twin = new OperatorTwin(map((text: string) => text, { retry: { attempts: 3 } }));
  assert.is(twin.send("a"), undefined);
  assert.equal(twin.data, ["a"]);
});

test("when all attempts have failed the last error is thrown", async () => {
  let tries = 0;
  const twin = new OperatorTwin(map(async () => { throw new Error(`try ${++tries}`); }, { retry: { attempts: 3, min: 1 } }));
  assert.is(await Promise.resolve(twin.send("a")).catch((thrown: Error) => thrown.message), "try 3");
  assert.is(tries, 3);
});

for (const [name, error] of [["a TerminalError", new TerminalError("no")], ["a RetryableError that asks for more than max", new RetryableError("later", { retryAfter: "1h" })]] as const) {
  test(`${name} is not tried again within the process`, async () => {
    let tries = 0;
    const twin = new OperatorTwin(map(() => { tries++; throw error; }, { retry: { attempts: 5, min: 1, max: "1s" } }));
    assert.is(await Promise.resolve(twin.send("a")).catch((thrown: unknown) => thrown), error);
    assert.is(tries, 1);
  });
}

test("a time-out is tried again, with a signal of its own", async () => {
  const signals: AbortSignal[] = [];
  const twin = new OperatorTwin(map((_: string, ctx: Context) => {
    signals.push(ctx.signal);
    return signals.length === 1 ? never : Promise.resolve("done");
  }, { timeout: 20, retry: { attempts: 2, min: 1 } }));
  await twin.send("a");
  assert.equal(twin.data, ["done"]);
  assert.equal(signals.map((signal) => signal.aborted), [true, false]);
});

test("an event that is cancelled between two tries is not tried again", async () => {
  let tries = 0;
  const twin = new OperatorTwin(map(() => { tries++; throw new Error("down"); }, { retry: { attempts: 5, min: "1d" } }));
  const pending = Promise.resolve(twin.send("a")).catch((thrown: Error) => thrown.message);
  twin.stop();
  assert.is(await pending, "down");
  assert.is(tries, 1);
});

test("a try of flatMap that fails half way gives nothing twice", async () => {
  const twin = new OperatorTwin(flatMap(async function* (_: string, ctx: Context) {
    yield 1;
    if (ctx.attempt === 1) throw new Error("half way");
    yield 2;
  }, { retry: { attempts: 2, min: 1 } }));
  await twin.send("a");
  assert.equal(twin.data, [1, 2]);
});

test.run();
