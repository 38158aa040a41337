import { suite } from "uvu";
import * as assert from "uvu/assert";
import { aggregate, tumbling } from "../../actors/index.ts";
import { OperatorTwin } from "../support/operator-twin.ts";

const test = suite("windowed fold");

interface Options { early?: "each" | number; lateness?: number; late?: boolean; offset?: number; read?: readonly string[] }

/** Sums numbers in windows of 10 ms; what goes on is `[start, sum, final]`. */
function summing({ read = [], offset = 0, ...options }: Options = {}): OperatorTwin {
  return new OperatorTwin(aggregate({
    window: tumbling(10, { offset }), ...options,
    initial: () => 0, add: (sum, n: number) => sum + n, result: (sum, { window, final }) => [window.start, sum, final],
  }), { read });
}

const send = (twin: OperatorTwin, ...events: readonly (readonly [time: number, n: number])[]) => {
  for (const [time, n] of events) assert.is(twin.send(n, { time, key: "k" }), undefined);
};

// ── bounds

test("an event at the start belongs to the window, one at its end to the next", () => {
  const twin = summing();
  send(twin, [9, 1], [10, 2], [19, 4], [20, 8]);
  twin.advance(100);
  assert.equal(twin.data, [[0, 1, true], [10, 6, true], [20, 8, true]]);
});

test("windows before the epoch have the same bounds", () => {
  const twin = summing();
  send(twin, [-1, 1], [-10, 2], [-11, 4], [0, 8]);
  twin.advance(100);
  assert.equal(twin.out.map(({ data, time }) => [data, time]), [[[-20, 4, true], -11], [[-10, 3, true], -1], [[0, 8, true], 9]]);
});

test("an offset moves the bounds", () => {
  const twin = summing({ offset: 3 });
  send(twin, [2, 1], [3, 2], [12, 4], [13, 8]);
  twin.advance(100);
  assert.equal(twin.data, [[-7, 1, true], [3, 6, true], [13, 8, true]]);
});

// ── closing

test("a window closes when the watermark reaches its last ms, and not before", () => {
  const twin = summing();
  send(twin, [5, 1]);
  twin.advance(8);
  assert.equal(twin.data, []);
  send(twin, [9, 2]);
  twin.advance(9);
  assert.equal(twin.data, [[0, 3, true]]);
  twin.advance(1_000);
  assert.is(twin.out.length, 1);
});

test("each key has its own windows, which close in the order of time, then key", () => {
  const twin = summing();
  for (const [key, time] of [["b", 15], ["b", 5], ["a", 5]] as const) twin.send(1, { time, key });
  twin.advance(100);
  assert.equal(twin.out.map(({ key, time }) => [key, time]), [["a", 9], ["b", 9], ["b", 19]]);
});

test("a window that closed leaves nothing behind", () => {
  const twin = summing();
  send(twin, [5, 1]);
  twin.advance(9);
  assert.equal(twin.state("k"), []);
  assert.equal(twin.timers, []);
});

test("the end of all inputs closes every window", () => {
  const twin = summing({ lateness: 50 });
  send(twin, [25, 1], [5, 2]);
  twin.end();
  assert.equal(twin.data, [[0, 2, true], [20, 1, true]]);
  assert.equal(twin.state("k"), []);
  assert.equal(twin.timers, []);
});

// ── lateness

test("an event is late once the watermark has reached the last ms of its window", () => {
  const twin = summing();
  twin.advance(8);
  send(twin, [0, 1]);
  twin.advance(9);
  send(twin, [9, 2], [10, 4]);
  assert.is(twin.lateCount, 1);
  assert.equal(twin.deadLetters.map(({ code, data, time, key }) => ({ code, data, time, key })), [{ code: "LATE", data: 2, time: 9, key: "k" }]);
  twin.advance(100);
  assert.equal(twin.data, [[0, 1, true], [10, 4, true]]);
});

test("a dead letter says which window is closed and how far event time is", () => {
  const twin = summing();
  twin.advance(25);
  send(twin, [5, 1]);
  assert.is(twin.deadLetters[0]?.message, "at 1970-01-01T00:00:00.005Z, in the window from 1970-01-01T00:00:00.000Z to 1970-01-01T00:00:00.010Z, which takes nothing more: event time has reached 1970-01-01T00:00:00.025Z");
});

test("within lateness each late event gives a corrected result", () => {
  const twin = summing({ lateness: 20 });
  send(twin, [5, 1]);
  twin.advance(9);
  send(twin, [6, 2], [7, 4]);
  twin.advance(28);
  send(twin, [8, 8]);
  assert.equal(twin.out.map(({ data, time }) => [data, time]), [[[0, 1, true], 9], [[0, 3, true], 9], [[0, 7, true], 9], [[0, 15, true], 9]]);
  assert.equal(twin.state("k"), [{ window: { start: 0, end: 10 }, value: 15 }]);
  assert.is(twin.lateCount, 0);
});

test("a late event into a window that had none gives a result at once, and only one", () => {
  const twin = summing({ lateness: 20 });
  twin.advance(15);
  send(twin, [5, 1]);
  assert.equal(twin.data, [[0, 1, true]]);
  twin.advance(100);
  assert.is(twin.out.length, 1);
  assert.equal(twin.state("k"), []);
});

test("after lateness the window is forgotten and what comes then is late", () => {
  const twin = summing({ lateness: 20 });
  send(twin, [5, 1]);
  twin.advance(28);
  send(twin, [5, 2]);
  twin.advance(29);
  assert.equal(twin.state("k"), []);
  assert.equal(twin.timers, []);
  send(twin, [5, 4]);
  assert.equal(twin.data, [[0, 1, true], [0, 3, true]]);
  assert.equal(twin.deadLetters.map(({ data }) => data), [4]);
});

test("a watermark that jumps past lateness gives one result and forgets", () => {
  const twin = summing({ lateness: 20 });
  send(twin, [5, 1]);
  twin.advance(1_000);
  assert.equal(twin.data, [[0, 1, true]]);
  assert.equal(twin.state("k"), []);
});

for (const [what, options, place] of [
  ["asked for and read", { late: true, read: ["late"] }, "output"],
  ["asked for and read by nothing", { late: true }, "dead letter"],
  ["not asked for", { read: ["late"] }, "dead letter"],
] as const) {
  test(`where the late output is ${what}, a late event is counted and leaves as ${place === "output" ? "an output" : "a dead letter"}`, () => {
    const twin = summing(options);
    twin.advance(9);
    send(twin, [5, 7]);
    assert.is(twin.lateCount, 1);
    assert.equal([twin.further["late"]?.length ?? 0, twin.deadLetters.length], place === "output" ? [1, 0] : [0, 1]);
    const [left] = twin.further["late"] ?? twin.deadLetters;
    assert.equal([left?.data, left?.time, left?.key], [7, 5, "k"]);
  });
}

// ── early results

test('early: "each" gives a result for each event, and the final one', () => {
  const twin = summing({ early: "each", lateness: 5 });
  send(twin, [5, 1], [6, 2]);
  twin.advance(9);
  send(twin, [7, 4]);
  assert.equal(twin.out.map(({ data, time }) => [data, time]), [[[0, 1, false], 9], [[0, 3, false], 9], [[0, 3, true], 9], [[0, 7, true], 9]]);
});

test("early with a duration gives a result at each of its multiples, in event time, that had a new event before it", () => {
  const twin = summing({ early: 3 });
  send(twin, [0, 1], [1, 2]);
  twin.advance(1);
  assert.equal(twin.data, []);
  twin.advance(2);
  assert.equal(twin.data, [[0, 3, false]]);
  twin.advance(5);
  assert.is(twin.out.length, 1, "nothing new, nothing given");
  send(twin, [6, 4]);
  twin.advance(8);
  assert.equal(twin.data.slice(1), [[0, 7, false]]);
  twin.advance(9);
  assert.equal(twin.data.slice(2), [[0, 7, true]]);
  assert.equal(twin.timers, []);
});

test("no early result is waited for where the next one would be the final one", () => {
  const twin = summing({ early: 3 });
  twin.advance(8);
  send(twin, [9, 1]);
  assert.equal(twin.timers.map(({ name }) => name), ["close:0"]);
});

test("an early result that is due with the close is left to it", () => {
  const twin = summing({ early: 3 });
  send(twin, [0, 1]);
  twin.advance(9);
  assert.equal(twin.data, [[0, 1, true]]);
});

test("early with a duration counts from the start of the window, whatever its offset", () => {
  const twin = summing({ early: 4, offset: 5 });
  send(twin, [-4, 1]);
  twin.advance(-2);
  assert.equal(twin.data, [[-5, 1, false]]);
});

// ── order

test("what comes out of order gives the final results of what comes in order", () => {
  const seed = Number(process.env["SEED"] ?? Math.floor(Math.random() * 2 ** 31));
  const random = seeded(seed);
  for (let round = 0; round < 100; round++) {
    const disorder = Math.floor(random() * 60), size = 1 + Math.floor(random() * 40), offset = Math.floor(random() * size);
    const events = Array.from({ length: 1 + Math.floor(random() * 60) }, (_, i) => ({ time: Math.floor(random() * 300) - 150, key: ["a", "b", 1][i % 3] as string | number, n: 1 + Math.floor(random() * 100) }));
    const sorted = [...events].sort((a, b) => a.time - b.time);
    // Each is held back by at most `disorder`, so a watermark that trails by as much calls none of them late.
    const shuffled = sorted.map((event) => ({ event, at: event.time + random() * disorder })).sort((a, b) => a.at - b.at).map(({ event }) => event);

    const run = (order: typeof events, trailing: number) => {
      const twin = new OperatorTwin(aggregate({ window: tumbling(size, { offset }), initial: () => 0, add: (sum, { n }: { n: number }) => sum + n }));
      let newest = -Infinity;
      for (const event of order) {
        twin.send(event, { time: event.time, key: event.key });
        newest = Math.max(newest, event.time);
        twin.advance(newest - trailing - 1);
      }
      twin.end();
      assert.is(twin.lateCount, 0, `seed ${seed}, round ${round}`);
      return twin.out.map(({ data, time, key }) => JSON.stringify([time, typeof key, key, data])).sort();
    };
    const expected = naive(events, size, offset);
    assert.equal(run(sorted, 0), expected, `in order: seed ${seed}, round ${round}`);
    assert.equal(run(shuffled, disorder), expected, `out of order: seed ${seed}, round ${round}`);
    assert.equal(run([...sorted].reverse(), Infinity), expected, `newest first, no watermark before the end: seed ${seed}, round ${round}`);
  }
});

/** The same by other means: sums by key and window over all events at once. */
function naive(events: readonly { time: number; key: string | number; n: number }[], size: number, offset: number): readonly string[] {
  const sums = new Map<string, number>();
  for (const { time, key, n } of events) {
    let start = offset - 1_000 * size;
    while (start + size <= time) start += size;
    const id = JSON.stringify([start, key]);
    sums.set(id, (sums.get(id) ?? 0) + n);
  }
  return [...sums].map(([id, value]) => {
    const [start, key] = JSON.parse(id) as [number, string | number];
    return JSON.stringify([start + size - 1, typeof key, key, { key, window: { start, end: start + size }, value }]);
  }).sort();
}

/** mulberry32 */
function seeded(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

test.run();
