// test deadline: 120 s
// Backups of a flow while it runs, at moments drawn at random, on broker and disk in memory: what is restored elsewhere goes on from there
// to the results of an undisturbed run. test/runtime/cli/backup.test.ts does it on the real parts.
import { copyFile, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { jsonl, map } from "../../../actors/index.ts";
import { backup } from "../../../runtime/backup/backup.ts";
import type { Manifest, SinkManifest } from "../../../runtime/backup/manifest.ts";
import { restoreHere, type RestoreHereOptions } from "../../../runtime/backup/restore-here.ts";
import { systemClock, systemRandom } from "../../../runtime/event/clock.ts";
import { decodeMessage } from "../../../runtime/event/frame.ts";
import { defineFlow, type Flow, type MillraceError, TerminalError } from "../../../runtime/index.ts";
import { allLetters } from "../../../runtime/inspect/dead-letters.ts";
import { decodeRecord, encodeRecord } from "../../../runtime/journal/record.ts";
import { readRun, type RunRecord } from "../../../runtime/node/run-record.ts";
import { MemoryBroker } from "../../../runtime/testing/memory-broker.ts";
import { MemoryDisk, MemoryStores } from "../../../runtime/testing/memory-store.ts";
import { SeededRandom } from "../../../runtime/testing/seeded-random.ts";
import { rejection } from "../../support/rejection.ts";
import { assertSums, Inlet, inSmallTurns, type Item, itemsTo, linesOf, runOn, summing } from "../../support/summed.ts";
import { type TwinNode, TwinWorld } from "../../support/twin-node.ts";
import { eventually, within } from "../../support/waiting.ts";

const test = suite("backup");
inSmallTurns(test);

/** A record like any other. */
const none = encodeRecord({ kind: "stop", n: 1, term: [1, new Uint8Array(8)], previous: 0, code: "", body: {} });

const count = 200, mailbox = { maxFrames: 12 }, items = itemsTo(count);
/** What a stage gives up. */
const isBad = (n: number): boolean => n % 13 === 5;

class Case implements AsyncDisposable {
  readonly world: TwinWorld;
  readonly flow: Flow;
  readonly inlet = new Inlet(items);
  node: TwinNode | undefined;

  private constructor(world: TwinWorld, order: "arrival" | "time") {
    this.world = world;
    this.flow = defineFlow("sums", (flow) => {
      const feed = flow.source("feed", this.inlet.source, { time: { of: ({ n }) => n, outOfOrder: 0 } });
      const good = flow.processor("good", feed.keyBy(({ key }) => key), { parallelism: 2, mailbox }, map((item: Item) => {
        if (isBad(item.n)) throw new TerminalError(`${item.n} is bad`);
        return item;
      }));
      const work = flow.processor("work", good.keyBy(({ key }) => key), { parallelism: 3, mailbox }, summing());
      flow.sink("out", work, { order, mailbox }, jsonl.sink(this.output));
    });
  }

  static async make(order: "arrival" | "time" = "arrival"): Promise<Case> {
    return new Case(await TwinWorld.make(), order);
  }

  get output(): string { return join(this.world.folder.path, "out.jsonl"); }
  get folder(): string { return join(this.world.folder.path, "backup"); }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.node?.[Symbol.asyncDispose]();
    await this.world[Symbol.asyncDispose]();
  }

  async start(until: number): Promise<void> {
    this.inlet.until = until;
    this.node = await this.world.start([this.flow]);
    this.node.node.done.catch(() => {});
  }

  async kill(): Promise<void> {
    await this.node?.kill();
    this.node = undefined;
  }

  /** Lets so many in, and waits until they are nearly through. */
  async through(until: number): Promise<void> {
    this.inlet.until = Math.min(count, until);
    await eventually(`${this.inlet.until} are through`, async () => (await this.lines()).length >= this.inlet.until * 0.9 - 24);
  }

  async end(): Promise<void> {
    this.inlet.until = count;
    await within(20_000, "it ends or is parked", (this.node as TwinNode).node.done);
    this.node = undefined;
  }

  async backup(step?: (what: string) => Promise<void>): Promise<Manifest> {
    const broker = new MemoryBroker(this.world.server);
    try {
      return await backup({ broker, clock: systemClock, random: systemRandom, folder: this.folder, flows: ["sums"], ...(step === undefined ? {} : { step }) });
    } finally {
      await broker.close();
    }
  }

  /** From the folder of another. */
  async restore(folder: string, options: Partial<RestoreHereOptions> = {}): Promise<Manifest> {
    const { world } = this, broker = new MemoryBroker(world.server), journals = new MemoryStores(world.journals);
    return await restoreHere({ folder, parts: () => Promise.resolve({
      access: { broker, embedded: true, address: "memory", retainMs: 0, close: () => broker.close() }, journals, own: new MemoryStores(world.own), close: () => broker.close(),
      removeOldJournals: async (flow) => { for (const name of [...world.journals.stores.keys()]) if (name.startsWith(`${flow}/`)) await journals.remove(name); },
    }), ...options });
  }

  /** As the report says: the file of the sink, cut to its mark. */
  async takeOutput(from: Case, { flows: [flow] }: Manifest): Promise<void> {
    const sink = flow?.sinks[0];
    if (sink === undefined || sink.batch === 0) return;
    const { offset, generation } = sink.mark as { offset: number; generation: string };
    // It has its final name where the flow has ended meanwhile.
    await copyFile(`${from.output}.${generation}`, `${this.output}.${generation}`).catch(() => copyFile(from.output, `${this.output}.${generation}`));
    await truncate(`${this.output}.${generation}`, offset);
  }

  record(): Promise<RunRecord | undefined> {
    return runOn(this.world.server, "sums");
  }

  /** Whether an actor has sealed its state. */
  get hasSealed(): boolean {
    return [...this.world.server.streams].some(([name, stream]) => name.endsWith("_log") && decodeRecord(stream.lastOf(stream.spec.subject)?.data ?? none).kind === "seal");
  }

  lines(): Promise<readonly string[]> {
    return linesOf(this.output);
  }

  /** Each key's rows in order, each once; each letter once. */
  async assertExact(why: string): Promise<void> {
    await assertSums(this.output, items.filter(({ n }) => !isBad(n)), why);
    const broker = new MemoryBroker(this.world.server), letters: number[] = [];
    for await (const { event } of allLetters(broker, "sums")) letters.push((event.data as Item).n);
    await broker.close();
    assert.equal(letters.sort((a, b) => a - b), items.filter(({ n }) => isBad(n)).map(({ n }) => n), why);
  }
}

/** Restored elsewhere, it goes on to the end. */
async function goOn(its: Case, manifest: Manifest, order: "arrival" | "time", why: string): Promise<void> {
  await using other = await Case.make(order);
  await other.restore(its.folder);
  const commits = new Map(manifest.flows[0]?.actors.map(({ actor, generation, commit }) => [`${actor}@${generation}`, commit]));
  for (const [name, stream] of other.world.server.streams) {
    for (let { first, last } = stream.bounds(); /_in_0$|^mr_dead_/.test(name) && first <= last; first++) {
      const { from, generation, n } = decodeMessage(stream.at(first)?.data ?? new Uint8Array());
      assert.ok(n <= (commits.get(`${from}@${generation}`) ?? Infinity), `${name} holds a frame of record ${n} of ${from}: ${why}`);
    }
  }
  for (const [name, stream] of other.world.server.streams) {
    for (let { first, last } = stream.bounds(); name.endsWith("_log") && first <= last; first++) {
      for (const { chunks } of decodeRecord(stream.at(first)?.data ?? none).body.seal?.sections ?? []) {
        for (const [seq, crc] of chunks) assert.is(crc32(other.world.server.streams.get(name.replace(/log$/, "snap"))?.at(seq)?.data ?? ""), crc, `chunk ${seq} of a seal in ${name}`);
      }
    }
  }
  await other.takeOutput(its, manifest);
  await other.start(count);
  await other.end();
  await other.assertExact(why);
}

for (let seed = 1; seed <= 6; seed++) {
  const order = seed % 3 === 0 ? "time" : "arrival";
  test(`a copy of a flow that runs goes on exactly elsewhere, while the flow goes on here (seed ${seed}, order ${order})`, async () => {
    await using its = await Case.make(order);
    const random = new SeededRandom(seed), steps: string[] = [];
    await its.start(40);
    await its.through(40);
    its.inlet.until = 60;
    const manifest = await its.backup(async (what) => {
      its.inlet.until += Math.floor(random.next() * 60);
      steps.push(`${what}: ${its.inlet.until}`);
      if (random.next() < 0.7) await its.through(its.inlet.until);
    });
    const [flow] = manifest.flows, why = `${steps.join("; ")}; anew: ${flow?.streams.filter(({ verbatim }) => !verbatim).map(({ spec }) => spec.name).join()}`;
    assert.ok((flow?.actors.find(({ actor }) => actor === "sums/feed/0")?.commit ?? 0) > 10, "it states what it copied");
    await goOn(its, manifest, order, why);
    await its.end();
    await its.assertExact("the one that was copied goes on, too");
  });
}

for (const killed of ["planned", "sealed", undefined] as const) test(`a stage that is being scaled: ${killed !== undefined ? `killed when that is ${killed}, it is copied as it is and finishes elsewhere` : "while it runs the backup waits for nobody, and says so or begins again"}`, async () => {
  await using its = await Case.make();
  await its.start(60);
  await its.through(60);
  const scaling = its.node?.node.scalings.get("sums"), changing = eventually("it is planned", async () => (await its.record())?.change !== undefined);
  its.inlet.until = 90;
  await scaling?.begin("work", 2);
  if (killed !== undefined) {
    await changing;
    for (const end = performance.now() + 20_000; killed === "sealed" && !its.hasSealed; ) {
      await new Promise<void>((done) => { setImmediate(done); });
      assert.ok(performance.now() < end, "it is sealed");
    }
    await its.kill();
    const manifest = await its.backup();
    assert.equal(manifest.flows[0]?.run.change?.stage, "work");
    return await goOn(its, manifest, "arrival", "killed while it was scaled");
  }
  const outcome = await its.backup().catch((error: unknown) => error);
  if (outcome instanceof Error) assert.ok(["SCALE_UNDER_WAY", "BACKUP_OVERTAKEN"].includes((outcome as MillraceError).code), outcome.message);
  else await goOn(its, outcome as Manifest, "arrival", "copied around a scaling");
  await changing.catch(() => {});
  await eventually("it is scaled", () => scaling?.status.change === null);
  await rm(its.folder, { recursive: true, force: true });
  await goOn(its, await its.backup(async () => { its.inlet.until += 30; }), "arrival", "copied after a scaling");
  await its.end();
});

test("what stands still is copied number by number: logs end with the stated commit, no claim is made", async () => {
  await using its = await Case.make();
  await its.start(120);
  await its.through(120);
  await its.kill();
  const manifest = await its.backup(), [flow] = manifest.flows;
  assert.ok(flow?.streams.every(({ verbatim, spec }) => verbatim || spec.name === "mr_story_sums"));
  assert.is(flow?.actors.some(({ claimed }) => claimed), false);
  await using other = await Case.make();
  await other.restore(its.folder);
  const told = (of: Case, name: string): unknown => {
    const stream = of.world.server.streams.get(name), { first, last } = stream?.bounds() ?? { first: 0, last: -1 };
    return [first, last, ...Array.from({ length: last - first + 1 }, (_, i) => Buffer.from(stream?.at(first + i)?.data ?? []).toString("hex"))];
  };
  for (const { spec: { name } } of flow?.streams ?? []) if (/_(log|in_0)$/.test(name)) assert.equal(told(other, name), told(its, name), name);
  for (const { actor, generation, commit } of flow?.actors ?? []) {
    const [, stage, p] = actor.split("/"), subject = `mr.actor.sums.${stage}.${generation}.${p}.log`;
    assert.is(decodeRecord(other.world.server.streams.get(subject.replaceAll(".", "_"))?.lastOf(subject)?.data ?? new Uint8Array()).n, commit);
  }
  await goOn(its, manifest, "arrival", "stood still");
});

test("a run that has finished is one elsewhere, too", async () => {
  await using its = await Case.make();
  await its.start(count);
  await its.end();
  await its.backup();
  await using other = await Case.make();
  await other.restore(its.folder);
  const broker = new MemoryBroker(other.world.server), kept = await readRun(broker.keys, "sums");
  await broker.close();
  assert.is(kept?.record.state, "finished");
  await rm(its.folder, { recursive: true });
});

test("a restore that is interrupted anywhere is repeated, and then exact", async () => {
  await using its = await Case.make();
  await its.start(160);
  await its.through(160);
  const manifest = await its.backup();
  await its.kill();
  for (const share of [0.3, 0.95]) {
    await using other = await Case.make();
    const all = manifest.flows[0]?.streams.length ?? 0;
    let steps = 0;
    class Interrupted extends Error {}
    const broken = new MemoryBroker(other.world.server), create = broken.create.bind(broken);
    broken.create = async (spec) => { if (++steps > share * all) throw new Interrupted(); await create(spec); };
    await assertRejects(other.restore(its.folder, { parts: () => Promise.resolve({ access: { broker: broken, embedded: true, address: "memory", retainMs: 0, close: () => broken.close() }, journals: new MemoryStores(other.world.journals), own: new MemoryStores(other.world.own), removeOldJournals: () => Promise.resolve(), close: () => broken.close() }) } as Partial<RestoreHereOptions>), Interrupted);
    await other.restore(its.folder);
    await other.takeOutput(its, manifest);
    await other.start(count);
    await other.end();
    await other.assertExact(`interrupted at ${share}`);
  }
});

async function assertRejects(promise: Promise<unknown>, kind: new () => Error): Promise<void> {
  const error = await promise.then(() => undefined, (thrown: unknown) => thrown);
  assert.instance(error, kind);
}

test("a run that is there is not overwritten without --replace; with it journals and streams of before go", async () => {
  await using its = await Case.make();
  await its.start(80);
  await its.through(80);
  const manifest = await its.backup();
  // Not to its end: then the file would have its name already.
  await its.through(190);
  const elsewhere: Partial<RestoreHereOptions> = { parts: () => {
    const broker = new MemoryBroker(its.world.server), none = new MemoryStores(new MemoryDisk());
    return Promise.resolve({ access: { broker, embedded: false, address: "memory", retainMs: 0, close: () => broker.close() }, journals: none, own: none, removeOldJournals: () => Promise.resolve(), close: () => broker.close() });
  } };
  for (const replace of [false, true]) assert.is((await rejection(its.restore(its.folder, { ...elsewhere, replace }))).code, "FLOW_RUNNING");
  await its.kill();
  assert.is((await rejection(its.restore(its.folder, elsewhere))).code, "RUN_EXISTS", "from another data folder");
  const before = [...its.world.server.streams].map(([name, stream]) => [name, stream.bounds()]);
  assert.is((await rejection(its.restore(its.folder))).code, "RUN_EXISTS");
  assert.equal([...its.world.server.streams].map(([name, stream]) => [name, stream.bounds()]), before, "nothing was changed");
  const { mark } = (manifest.flows.flatMap(({ sinks }) => sinks)[0] as SinkManifest), { offset, generation } = mark as { offset: number; generation: string };
  await its.restore(its.folder, { replace: true });
  await truncate(`${its.output}.${generation}`, offset);
  await its.start(count);
  await its.end();
  await its.assertExact("back to the commit of the backup");
});

test("a file that is cut off, changed, or gone is refused before anything is written", async () => {
  await using its = await Case.make();
  await its.start(80);
  await its.through(80);
  await its.kill();
  const { flows: [flow] } = await its.backup(), log = flow?.streams.find(({ spec }) => spec.name.endsWith("_0_log"))?.file ?? "", path = join(its.folder, log), whole = await readFile(path);
  await using other = await Case.make();
  const refused = async (code: string): Promise<void> => {
    assert.is((await rejection(other.restore(its.folder))).code, code);
    assert.equal([...other.world.server.streams.keys()], ["KV_millrace"]);
    assert.is(other.world.server.streams.get("KV_millrace")?.bounds().last, 0);
  };
  const flipped = (at: number): Buffer => { const bytes = Buffer.from(whole); bytes[at] = (bytes[at] as number) ^ 1; return bytes; };
  for (const bytes of [whole.subarray(0, whole.length - 1), whole.subarray(0, 30), Buffer.alloc(0), flipped(3), flipped(18), flipped(40), flipped(whole.length - 1), Buffer.concat([whole, Buffer.from([0])])]) {
    await writeFile(path, bytes);
    await refused("BACKUP_DAMAGED");
  }
  await rm(path);
  await refused("BACKUP_DAMAGED");
  await writeFile(path, whole);
  for (const file of ["backup.json", "SHA256SUMS"]) {
    const text = await readFile(join(its.folder, file), "utf8");
    await writeFile(join(its.folder, file), text.replace("1", "2"));
    await refused("BACKUP_DAMAGED");
    await rm(join(its.folder, file));
    await refused("BACKUP_MISSING");
    await writeFile(join(its.folder, file), text);
  }
  await other.restore(its.folder);
});

test("what the server lost is not copied as if it were whole: BROKER_WENT_BACK", async () => {
  await using its = await Case.make();
  await its.start(120);
  await its.through(120);
  await its.kill();
  for (const [name, stream] of its.world.server.streams) if (/_work_.*_in_0$/.test(name)) stream.truncate(1);
  for (const [name] of its.world.server.streams) if (/_work_.*_log$/.test(name)) its.world.server.streams.get(name)?.truncate(0);
  assert.is((await rejection(its.backup())).code, "BROKER_WENT_BACK");
});

test("no run of such a flow: RUN_UNKNOWN; a folder that is not empty is left as it is", async () => {
  await using its = await Case.make();
  assert.is((await rejection(its.backup())).code, "RUN_UNKNOWN");
  await its.start(40);
  await its.through(40);
  await its.kill();
  await its.backup();
  assert.is((await rejection(its.backup())).code, "FOLDER_NOT_EMPTY");
});

test.run();
