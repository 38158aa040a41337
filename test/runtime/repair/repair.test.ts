// test deadline: 120 s
// Repairs after losses drawn at random, on broker and disk in memory: whatever tail of whatever stream is gone, with the journals there
// the results are those of an undisturbed run (P31). test/faults/power-loss.test.ts does it on the real parts.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { jsonl, stateful } from "../../../actors/index.ts";
import { turnLimit } from "../../../runtime/actor/limits.ts";
import { snapshotEvery, snapshotSize } from "../../../runtime/actor/snapshot.ts";
import { systemClock, systemRandom } from "../../../runtime/event/clock.ts";
import { defineFlow, defineSource, type Emits, type Flow } from "../../../runtime/index.ts";
import { planOf, type FlowPlan } from "../../../runtime/flow/plan.ts";
import { RunNotes } from "../../../runtime/node/run-note.ts";
import { streamsOf } from "../../../runtime/node/run-streams.ts";
import { repair } from "../../../runtime/repair/repair.ts";
import type { RepairReport } from "../../../runtime/repair/report.ts";
import { MemoryBroker } from "../../../runtime/testing/memory-broker.ts";
import { MemoryStores } from "../../../runtime/testing/memory-store.ts";
import { SeededRandom } from "../../../runtime/testing/seeded-random.ts";
import { TwinWorld } from "../../support/twin-node.ts";
import { eventually, within } from "../../support/waiting.ts";

const test = suite("repair");
const saved = { turn: turnLimit.events, ...snapshotEvery, ...snapshotSize }, retainMs = 600_000;
test.before(() => { turnLimit.events = 4; snapshotEvery.records = 6; snapshotSize.inlineBytes = 0; snapshotSize.chunkBytes = 120; });
test.after(() => { turnLimit.events = saved.turn; Object.assign(snapshotEvery, { records: saved.records, bytes: saved.bytes }); Object.assign(snapshotSize, { inlineBytes: saved.inlineBytes, chunkBytes: saved.chunkBytes }); });

interface Item { readonly n: number; readonly key: string }
const count = 160, items = Array.from({ length: count }, (_, n): Item => ({ n, key: `k${(n * 5) % 7}` }));

/** Numbers, held back at `until`. */
function gated(gate: { until: number }) {
  return defineSource<Item, number>({
    kind: "gated", guarantee: "replayable", start: 0, ends: true,
    async *read(from, { signal }) {
      for (let n = from; n < count; n += 4) {
        if (n >= gate.until) await new Promise((_, stop) => signal.addEventListener("abort", () => stop(new Error("stopped"))));
        yield items.slice(n, n + 4).map((data) => ({ data, position: data.n + 1 }));
      }
    },
  });
}

class Case implements AsyncDisposable {
  readonly world: TwinWorld;
  readonly gate = { until: 0 };
  readonly flow: Flow;

  private constructor(world: TwinWorld) {
    this.world = world;
    this.flow = defineFlow("sums", (flow) => {
      const feed = flow.source("feed", gated(this.gate));
      const work = flow.processor("work", feed.keyBy(({ key }) => key), { parallelism: 2 }, stateful({
        initial: () => ({ sum: 0 }), on: ({ sum }: { sum: number }, { n, key }: Item, ctx: Emits<object>) => { ctx.emit({ key, n, sum: sum + n }); return { sum: sum + n }; },
      }));
      flow.sink("out", work, {}, jsonl.sink(this.output));
    });
  }

  static async make(): Promise<Case> {
    return new Case(await TwinWorld.make());
  }

  get output(): string { return join(this.world.folder.path, "out.jsonl"); }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.world[Symbol.asyncDispose]();
  }

  /** Runs up to an event; then everything is killed, or, where it comes to that, ends. The code of what it is parked for. */
  async run(until: number): Promise<string> {
    this.gate.until = until;
    const { world } = this, broker = new MemoryBroker(world.server), journals = new MemoryStores(world.journals), own = new MemoryStores(world.own);
    try {
      await using its = await world.start([this.flow], {}, { parts: () => Promise.resolve({
        access: { broker, embedded: true, address: "memory", retainMs, close: () => broker.close() }, journals, own, removeOldJournals: () => Promise.resolve(), close: () => broker.close(),
      }) });
      if (until >= count) {
        await within(20_000, "it ends or is parked", its.node.done);
        return "finished";
      }
      await eventually(`${until} events are through`, async () => (await this.lines()).length >= until - 8);
      journals.kill();
      own.kill();
      broker.disconnect();
      its.node.root.kill();
      return "killed";
    } catch (error) {
      return /\((BROKER_WENT_BACK|HISTORY_FORKED)\b/.exec((error as Error).message)?.[1] ?? (error as Error).message;
    }
  }

  async repair(dryRun = false): Promise<RepairReport> {
    const { world } = this, broker = new MemoryBroker(world.server), notes = new RunNotes(new MemoryStores(world.own)), plan = planOf(this.flow) as FlowPlan;
    try {
      return await repair("sums", { broker, notes, node: "repairs", clock: systemClock, random: systemRandom, dryRun, journals: [{ node: "here", stores: new MemoryStores(world.journals) }], specs: (record) => streamsOf(plan, record, { replicas: 1, retainMs }) });
    } finally {
      await notes.close();
      await broker.close();
    }
  }

  async lines(): Promise<readonly string[]> {
    return (await readFile(this.output, "utf8").catch(() => "")).split("\n").filter((line) => line !== "");
  }

  /** Each key's rows in order, each once. */
  async assertExact(why: string): Promise<void> {
    const rows = (await this.lines()).map((line) => JSON.parse(line) as { key: string; n: number; sum: number }), sums = new Map<string, number>();
    const expected = items.map(({ key, n }) => { sums.set(key, (sums.get(key) ?? 0) + n); return { key, n, sum: sums.get(key) as number }; });
    for (const key of new Set(items.map((item) => item.key))) assert.equal(rows.filter((row) => row.key === key), expected.filter((row) => row.key === key), why);
    assert.is(rows.length, count, why);
  }
}

for (let seed = 1; seed <= 24; seed++) {
  test(`tails of streams are lost, one time and again (seed ${seed}): exact after each repair`, async () => {
    await using its = await Case.make();
    const random = new SeededRandom(seed), lost: string[] = [];
    for (const until of [40, 92]) {
      assert.is(await its.run(until), "killed");
      const share = random.next();
      for (const [name, stream] of its.world.server.streams) {
        if (name === "KV_millrace" || random.next() > share) continue;
        const { first, last } = stream.bounds(), to = Math.max(0, last - Math.floor(random.next() * (last - first + 2)));
        its.world.server.rollback(name, to);
        lost.push(`${name} ${last} -> ${to}`);
      }
      // Now and then it is found by a run that parks, not by the repair.
      if (random.next() < 0.5) await its.run(count);
      const { status, behind } = await its.repair();
      assert.ok(["repaired", "whole"].includes(status), `${lost.join("; ")}: ${JSON.stringify(behind)}`);
      assert.is((await its.repair()).status, "whole", lost.join("; "));
    }
    assert.is(await its.run(count), "finished", lost.join("; "));
    await its.assertExact(lost.join("; "));
  });
}

test("the server knows nothing any more, not even the run: all of it comes back from the data folder", async () => {
  await using its = await Case.make();
  await its.run(60);
  for (const name of [...its.world.server.streams.keys()]) if (name !== "KV_millrace") its.world.server.remove(name);
  its.world.server.rollback("KV_millrace", 0);
  assert.is(await its.run(count), "BROKER_WENT_BACK");
  const report = await its.repair();
  assert.equal([report.status, report.runRestored], ["repaired", true], JSON.stringify(report.behind));
  assert.is(await its.run(count), "finished");
  await its.assertExact("everything was lost");
});

test("a dry run changes nothing on the server", async () => {
  await using its = await Case.make();
  await its.run(60);
  for (const [name, stream] of its.world.server.streams) if (name !== "KV_millrace") its.world.server.rollback(name, Math.floor(stream.bounds().last / 2));
  const bounds = (): unknown => [...its.world.server.streams].map(([name, stream]) => [name, stream.bounds()]), before = bounds();
  const report = await its.repair(true);
  assert.equal([report.status, report.dryRun, bounds()], ["repaired", true, before]);
  assert.equal((await its.repair()).actors, report.actors, "and tells what would be done");
});

test("records are written again verbatim: the log is byte for byte what it was", async () => {
  await using its = await Case.make();
  await its.run(60);
  const [name, log] = [...its.world.server.streams].find(([one]) => one.startsWith("mr_actor_sums_work_") && one.endsWith("_0_log")) as [string, NonNullable<ReturnType<typeof its.world.server.streams.get>>];
  const { first, last } = log.bounds(), bytes = (): readonly string[] => Array.from({ length: last - first + 1 }, (_, i) => Buffer.from(log.at(first + i)?.data ?? []).toString("hex")), before = bytes();
  its.world.server.rollback(name, last - 9);
  await its.repair();
  assert.equal(bytes(), before);
});

test("no run of such a flow is known: RUN_UNKNOWN", async () => {
  await using its = await Case.make();
  try {
    await its.repair();
    assert.unreachable();
  } catch (error) {
    assert.is((error as { code: string }).code, "RUN_UNKNOWN");
  }
});

test.run();
