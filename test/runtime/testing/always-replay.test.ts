// Dropped and recovered after every event, a flow gives what it gives undisturbed: nothing it needs is in memory alone.
// test deadline: 300 s
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import fraud from "../../../examples/fraud.ts";
import quakes from "../../../examples/quakes.ts";
import { advance, end } from "millrace/testing";
import type { Flow } from "millrace";
import { cases, loose, outcome } from "./cases.ts";

const test = suite("always replay");
const data = join(import.meta.dirname, "../../../examples/data");

for (const one of cases) {
  test(`${one.name}: the same outputs, in any order of the actors`, async () => {
    const expected = await outcome(one);
    for (let seed = 1; seed <= 3; seed++) assert.equal(await outcome(one, { seed, alwaysReplay: true }), expected, `seed ${seed}`);
  });
}

const ways = [{}, { seed: 7 }, { alwaysReplay: true, seed: 3 }] as const;

/** What a sink with order "time" took, in each way of running. */
async function taken(flow: Flow<unknown>, source: string, sink: string, ...items: readonly unknown[]): Promise<readonly (readonly unknown[])[]> {
  const all: (readonly unknown[])[] = [];
  for (const way of ways) {
    await using t = await loose(flow, way);
    await t.send(source, ...items, end);
    all.push(t.output(sink));
  }
  return all;
}

interface Feature { readonly properties: { readonly mag: number | null; readonly place: string; readonly time: number; readonly type: string } }

test("examples/quakes.ts", async () => {
  const { features } = JSON.parse(await readFile(join(data, "earthquakes.geojson"), "utf8")) as { features: Feature[] };
  const some = features.slice(0, 100), windows = new Map<string, { region: string; windowStart: number; count: number }>(), size = 6 * 3_600_000;
  for (const { properties: { type, mag, place, time } } of some) {
    if (type !== "earthquake" || mag === null || mag < 2.5) continue;
    const region = place.split(", ").at(-1) ?? place, windowStart = Math.floor(time / size) * size, key = `${region} ${windowStart}`;
    windows.set(key, { region, windowStart, count: (windows.get(key)?.count ?? 0) + 1 });
  }
  assert.ok(windows.size > 5);
  const [first = [], ...others] = await taken(quakes, "feed", "report", ...some), rows = first as readonly { region: string; windowStart: number; count: number }[];
  const texts = (of: Iterable<{ region: string; windowStart: number; count: number }>) => [...of].map(({ region, windowStart, count }) => `${region} ${windowStart} ${count}`).sort();
  assert.equal(texts(rows), texts(windows.values()));
  assert.equal(rows.map(({ windowStart }) => windowStart), rows.map(({ windowStart }) => windowStart).sort((a, b) => a - b));
  for (const other of others) assert.equal(other, first);
});

test("examples/fraud.ts", async () => {
  const payments = (await readFile(join(data, "payments.jsonl"), "utf8")).trim().split("\n").map((line) => JSON.parse(line) as unknown);
  const all = await taken(fraud, "payments", "alerts", ...payments.slice(0, 8), advance("10s"), ...payments.slice(8));
  for (const alerts of all) assert.equal(alerts, [{ account: "acc-1", reason: "too-many", payments: 6 }, { account: "acc-1", reason: "too-many", payments: 7 }, { account: "acc-3", reason: "far-apart", payments: 3 }]);
});

test.run();
