// What is measured of an actor's start: replay of a journal, and a restart with a lot of state. Both begin with an actor that has got
// an event for each of so many keys, and was stopped.
import { setTimeout as sleep } from "node:timers/promises";
import { stateful } from "../../actors/index.ts";
import { Journal } from "../../runtime/journal/journal.ts";
import { decodeRecord } from "../../runtime/journal/record.ts";
import { defineFlow, defineSource, type Flow } from "../../runtime/index.ts";
import type { Run } from "./contender.ts";
import { Lives } from "./life.ts";
import { median } from "./median.ts";

export interface Started {
  readonly keys: number;
  /** From claim to running; the median of `starts`. */
  readonly ms: number;
  /** What stood in the journal behind the newest fold. */
  readonly records: number;
  readonly changes: number;
  /** Without a local journal: from the log and the snapshots on the server. */
  readonly elsewhereMs: number;
}

const starts = 5;
const batch = 1_024;
const fillMs = 60_000;
const snapshotMs = 5_000;

export async function started(run: Run): Promise<Started> {
  const lives = await Lives.open(keysFlow(run.events), run);
  await fill(lives, run.events);
  const tail = await tailOf(lives);
  const times: number[] = [];
  for (let i = 0; i < starts; i++) times.push(await startOnce(lives));
  await lives.stores.remove(lives.storeOf("totals"));
  const elsewhereMs = await startOnce(lives);
  await lives.close();
  return { keys: run.events, ms: median(times), ...tail, elsewhereMs };
}

async function startOnce(lives: Lives): Promise<number> {
  const { actor, startMs, ended } = await lives.begin("totals");
  await actor.stop();
  await ended;
  return startMs;
}

async function fill(lives: Lives, keys: number): Promise<void> {
  const totals = await lives.begin("totals"), source = await lives.begin("keys");
  let longest = 0;
  const has = async (enough: () => boolean, ms: number) => {
    for (const ends = performance.now() + ms; !enough() && performance.now() < ends; ) await sleep(5);
  };
  await has(() => { longest = Math.max(longest, totals.actor.journalLength); return totals.actor.counts.in >= keys; }, fillMs);
  // A snapshot may be under way: with it the journal gets shorter.
  await has(() => totals.actor.journalLength < longest, snapshotMs);
  await totals.actor.stop();
  await source.actor.stop();
  await Promise.all([totals.ended, source.ended]);
}

/** What a start has to replay. */
async function tailOf(lives: Lives): Promise<{ records: number; changes: number }> {
  const store = await lives.stores.open(lives.storeOf("totals")), journal = new Journal(store, "totals"), folded = journal.folded()?.n ?? 0;
  let records = 0, changes = 0;
  for await (const { n, bytes } of journal.read((await journal.first()) ?? 1)) {
    if (n <= folded) continue;
    records++;
    changes += decodeRecord(bytes).body.state?.length ?? 0;
  }
  await store.close();
  return { records, changes };
}

/** An event for each key; nothing comes out. The source does not end: an actor that has ended would have nothing to start for. */
function keysFlow(keys: number): Flow {
  const source = defineSource<number, number>({
    kind: "keys", guarantee: "replayable", start: 0,
    async *read(from, { signal }) {
      for (let n = from; n < keys; n += batch) {
        yield Array.from({ length: Math.min(batch, keys - n) }, (_, i) => ({ data: n + i, time: n + i, position: n + i + 1 }));
      }
      await new Promise((aborted) => signal.addEventListener("abort", aborted, { once: true }));
    },
  });
  return defineFlow("bench", (flow) => {
    const events = flow.source("keys", source);
    flow.processor("totals", events.keyBy((n) => `auction-${n}`), stateful({
      initial: () => ({ n: 0, sum: 0 }),
      on: ({ n, sum }, price: number) => ({ n: n + 1, sum: sum + price }),
    }));
  });
}
