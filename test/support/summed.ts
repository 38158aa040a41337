// Numbers by key that a test lets in bit by bit, their sums, and what one thread would have made of them: for flows on broker and disk in
// memory that are stopped, copied and repaired at any moment.
import { readFile } from "node:fs/promises";
import * as assert from "uvu/assert";
import { stateful } from "../../actors/index.ts";
import { turnLimit } from "../../runtime/actor/limits.ts";
import { snapshotEvery, snapshotSize } from "../../runtime/actor/snapshot.ts";
import { defineSource, type Emits, type SourceActor } from "../../runtime/index.ts";
import { readRun, type RunRecord } from "../../runtime/node/run-record.ts";
import { MemoryBroker } from "../../runtime/testing/memory-broker.ts";
import type { MemoryServer } from "../../runtime/testing/memory-server.ts";
import { gate } from "./gate.ts";

export interface Item { readonly n: number; readonly key: string }
interface Row { readonly key: string; readonly n: number; readonly sum: number }

export const itemsTo = (count: number): readonly Item[] => Array.from({ length: count }, (_, n) => ({ n, key: `k${(n * 5) % 7}` }));

/** Small turns and snapshots in chunks, for the tests of a suite: logs and mailboxes are trimmed all the time. */
export function inSmallTurns(test: { readonly before: (hook: () => void) => void; readonly after: (hook: () => void) => void }): void {
  const saved = { turn: turnLimit.events, ...snapshotEvery, ...snapshotSize };
  test.before(() => { turnLimit.events = 4; snapshotEvery.records = 6; snapshotSize.inlineBytes = 0; snapshotSize.chunkBytes = 120; });
  test.after(() => { turnLimit.events = saved.turn; Object.assign(snapshotEvery, { records: saved.records, bytes: saved.bytes }); Object.assign(snapshotSize, { inlineBytes: saved.inlineBytes, chunkBytes: saved.chunkBytes }); });
}

/** A source that gives those before `until`, and waits. */
export class Inlet {
  readonly source: SourceActor<Item>;
  readonly #items: readonly Item[];
  #until = 0;
  #moved = gate();

  constructor(items: readonly Item[]) {
    this.#items = items;
    this.source = defineSource<Item, number>({ kind: "gated", guarantee: "replayable", start: 0, ends: true, read: (from, { signal }) => this.#read(from, signal) });
  }

  get until(): number { return this.#until; }
  set until(until: number) {
    this.#until = until;
    this.#moved.open();
    this.#moved = gate();
  }

  async *#read(from: number, signal: AbortSignal) {
    const stopped = new Promise<void>((done) => { signal.addEventListener("abort", () => done(), { once: true }); });
    for (let n = from; n < this.#items.length; n += 4) {
      while (n >= this.#until && !signal.aborted) await Promise.race([this.#moved.opened, stopped]);
      if (signal.aborted) return;
      yield this.#items.slice(n, n + 4).map((data) => ({ data, position: data.n + 1 }));
    }
  }
}

/** Tells each key's sum with each of its events. */
export const summing = () => stateful({
  initial: () => ({ sum: 0 }), on: ({ sum }: { sum: number }, { n, key }: Item, ctx: Emits<object>) => { ctx.emit({ key, n, sum: sum + n }); return { sum: sum + n }; },
});

export async function linesOf(path: string): Promise<readonly string[]> {
  return (await readFile(path, "utf8").catch(() => "")).split("\n").filter((line) => line !== "");
}

/** A file holds each key's rows in order, each once. */
export async function assertSums(path: string, items: readonly Item[], why: string): Promise<void> {
  const rows = (await linesOf(path)).map((line) => JSON.parse(line) as Row), sums = new Map<string, number>();
  const expected = items.map(({ key, n }): Row => { sums.set(key, (sums.get(key) ?? 0) + n); return { key, n, sum: sums.get(key) as number }; });
  for (const key of sums.keys()) assert.equal(rows.filter((row) => row.key === key), expected.filter((row) => row.key === key), why);
  assert.is(rows.length, items.length, why);
}

/** What a flow's key tells of its run. */
export async function runOn(server: MemoryServer, flow: string): Promise<RunRecord | undefined> {
  const broker = new MemoryBroker(server);
  try {
    return (await readRun(broker.keys, flow))?.record;
  } finally {
    await broker.close();
  }
}
