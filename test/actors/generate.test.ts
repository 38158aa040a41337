import { suite } from "uvu";
import * as assert from "uvu/assert";
import { generate } from "../../actors/index.ts";
import type { MillraceError } from "../../runtime/event/errors.ts";
import { pull, readAll } from "./reading.ts";

const test = suite("generate");
const make = (n: number, random: () => number) => ({ n, a: random(), b: random() });

test("it makes count events, from 0, and ends", async () => {
  const source = generate({ count: 3000, make });
  const taken = await readAll<number>(source);
  assert.equal(taken.data.map((one) => (one as { n: number }).n), Array.from({ length: 3000 }, (_, n) => n));
  assert.equal(taken.positions, Array.from({ length: 3000 }, (_, n) => n + 1));
  assert.is(pull(source).ends, true);
});

test("no events is a count, too", async () => {
  assert.equal((await readAll(generate({ count: 0, make }))).data, []);
});

test("from every position it makes the same events", async () => {
  const source = generate({ count: 50, seed: "x", make });
  const { data } = await readAll<number>(source);
  for (let from = 0; from <= 50; from++) assert.equal((await readAll<number>(source, { from })).data, data.slice(from));
});

test("an event's random numbers do not depend on how many its neighbours took", async () => {
  const greedy = generate({ count: 20, make: (n, random) => [random(), ...Array.from({ length: n }, random)][0] });
  const modest = generate({ count: 20, make: (_n, random) => random() });
  assert.equal((await readAll(greedy)).data, (await readAll(modest)).data);
});

test("another seed gives other numbers, the same seed the same", async () => {
  const numbers = async (seed: number | string) => (await readAll(generate({ count: 10, seed, make: (_n, random) => random() }))).data;
  assert.equal(await numbers(1), await numbers(1));
  const all = await Promise.all([1, 2, "1", 1.5, "a"].map(numbers));
  assert.is(new Set(all.flat()).size, 50);
});

test("the numbers are the same on every machine and in every version", async () => {
  assert.equal((await readAll(generate({ count: 3, seed: 42, make: (_n, random) => Math.floor(random() * 1e6) }))).data, [566019, 27597, 907744]);
});

test("random numbers are from 0 up to 1 and spread evenly", async () => {
  const numbers = (await readAll(generate({ count: 20_000, make: (_n, random) => [random(), random()] }))).data.flat() as number[];
  assert.ok(numbers.every((x) => x >= 0 && x < 1));
  const share = (i: number) => numbers.filter((x) => Math.floor(x * 20) === i).length / numbers.length;
  for (let i = 0; i < 20; i++) assert.ok(Math.abs(share(i) - 0.05) < 0.005, `${share(i)} from ${i / 20} on`);
});

test("numbers beyond 2^32 are other numbers", async () => {
  const at = async (from: number) => (await readAll<number>(generate({ make: (_n, random) => random() }), { from, limit: 1 })).data[0];
  assert.is.not(await at(5), await at(2 ** 32 + 5));
});

test("without a count it does not end", async () => {
  const source = generate({ make });
  assert.is(pull(source).ends, false);
  assert.ok((await readAll<number>(source, { from: 1_000_000, limit: 5000 })).data.length >= 5000);
});

for (const splits of [1, 2, 3, 7]) {
  test(`${splits} splits make each event once, from every position`, async () => {
    const source = generate({ count: 40, splits, make });
    const names = (await pull(source).splits?.(new AbortController().signal)) ?? [""];
    assert.is(names.length, splits);
    const all: unknown[] = [];
    for (const split of names) {
      const taken = await readAll<number>(source, { split });
      all.push(...taken.data);
      for (const [i, from] of taken.positions.entries()) assert.equal((await readAll<number>(source, { split, from })).data, taken.data.slice(i + 1));
    }
    const whole = (await readAll<number>(generate({ count: 40, make }))).data;
    assert.equal((all as { n: number }[]).sort((a, b) => a.n - b.n), whole);
  });
}

test("arrays have the length asked for", async () => {
  const { arrays } = await readAll<number>(generate({ count: 25, batch: 10, make }));
  assert.equal(arrays.map(({ events }) => events), [10, 20, 25]);
});

for (const [rate, splits] of [[5_000, 1], [200_000, 1], [10_000, 2]] as const) {
  test(`a rate of ${rate} a second over ${splits} ${splits === 1 ? "split" : "splits"} is kept on the wall clock and not exceeded`, async () => {
    const count = rate / 5;
    const begin = performance.now();
    const source = generate({ count, rate, splits, make });
    const names = splits === 1 ? [""] : ["0", "1"];
    const made = await Promise.all(names.map(async (split) => (await readAll<number>(source, { split })).data.length));
    const elapsed = performance.now() - begin;
    assert.is(made.reduce((a, b) => a + b), count);
    assert.ok(elapsed >= 199, `${count} events in ${elapsed} ms`);
    assert.ok(elapsed < 5000, `${count} events in ${elapsed} ms`);
  });
}

test("a rated source that waits stops at once", async () => {
  const stop = new AbortController();
  const source = generate({ rate: 0.001, make });
  const reading = readAll<number>(source, { signal: stop.signal });
  stop.abort();
  let thrown: unknown;
  await reading.catch((error: unknown) => { thrown = error; });
  assert.is((thrown as Error).name, "AbortError");
});

test("the fingerprint tells seed, count and splits apart", async () => {
  const prints = await Promise.all([{}, { seed: 2 }, { seed: "1" }, { count: 5 }, { splits: 2 }].map((options) => pull(generate({ make, ...options })).fingerprint?.()));
  assert.is(new Set(prints).size, 5);
  assert.is(await pull(generate({ make })).fingerprint?.(), prints[0]);
});

const wrong: readonly (readonly [option: string, values: readonly unknown[]])[] = [
  ["count", [-1, 1.5, Number.NaN, "5"]], ["rate", [0, -1, Number.NaN, "fast"]], ["seed", [Number.NaN, null, {}]],
  ["batch", [0, 1.5, 10_000]], ["splits", [0, 2000]], ["make", [undefined, "x"]],
];
for (const [option, values] of wrong) {
  test(`a ${option} that is none is refused at once`, () => {
    for (const value of values) {
      assert.throws(() => generate({ make, [option]: value } as Parameters<typeof generate>[0]), (error: MillraceError) => error.code === "OPTION_INVALID" && error.where === `generate.${option}`);
    }
  });
}

test.run();
