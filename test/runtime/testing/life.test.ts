// A crash ends an actor at exactly the point that it names: what is in its log, in its journal and with those who read it.
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { defineFlow } from "millrace";
import { jsonl, map } from "millrace/actors";
import { type CrashPoint, ManualClock, MemoryDisk, MemoryServer, MemoryStores, SeededRandom, settle } from "millrace/testing";
import { deadStream, streamName, subjectsOf } from "../../../runtime/actor/environment.ts";
import { decodeMessage, encodeFrame, message } from "../../../runtime/event/frame.ts";
import type { ProcessorPlan, SinkPlan, SourcePlan, StagePlan } from "../../../runtime/flow/plan.ts";
import { Journal } from "../../../runtime/journal/journal.ts";
import { decodeRecord } from "../../../runtime/journal/record.ts";
import { Collector } from "../../../runtime/testing/collector.ts";
import { Feed } from "../../../runtime/testing/feed.ts";
import { Life } from "../../../runtime/testing/life.ts";
import { RunQueue } from "../../../runtime/testing/run-queue.ts";
import { processorUnderTest } from "../../../runtime/testing/under-test.ts";
import { plan } from "../../support/flow-parts.ts";

const test = suite("life");
const generation = "g-1";

/** One stage of a flow, alone: what comes to it is put there by hand. Two stages read it. */
class Stand {
  readonly server = new MemoryServer({ clock: { now: () => 0, monotonic: () => 0, after: () => () => {} } });
  readonly disk = new MemoryDisk();
  readonly clock = new ManualClock();
  readonly random = new SeededRandom(1);
  readonly queue = new RunQueue(this.random);
  readonly collector = new Collector();
  readonly feed: Feed;
  readonly stage: StagePlan;
  readonly life: Life;
  calls = 0;
  crashed = 0;

  constructor(name: string) {
    const flow = plan(defineFlow("f", (builder) => {
      const source = builder.source("source", jsonl.source<number>("x"));
      const double = builder.processor("double", source, map((n) => { this.calls++; return n * 2; }));
      builder.sink("one", double, jsonl.sink("x"));
      builder.sink("two", double.merge(source), jsonl.sink("x"));
    }));
    this.stage = flow.stages.find((stage) => stage.name === name) as StagePlan;
    this.feed = new Feed(flow.stages[0] as SourcePlan, this.clock, () => {});
    this.server.create({ name: deadStream("f"), subject: "mr.dead.f.>", replicas: 1 });
    for (const stage of flow.stages) for (const subject of [this.#subjects(stage.name).log, this.#subjects(stage.name).mailbox(0)]) this.server.create({ name: streamName(subject), subject, replicas: 1 });
    const { server, disk, clock, random, queue } = this;
    this.life = new Life({ flow, server, disk, clock, random, queue, division: () => ({ generation, count: 1 }), readerCursor: () => undefined, busy: () => {} }, this.stage, 0, (life) => this.#underTest(life), {
      onRunning: () => {}, onExit: () => {}, onPoison: () => {}, onCrash: () => { this.crashed++; },
    });
  }

  #subjects(stage: string): ReturnType<typeof subjectsOf> {
    return subjectsOf("f", stage, generation, 0);
  }

  #underTest(life: Life): StagePlan {
    if (this.stage.kind === "source") return this.feed.planOf(this.stage, life);
    return this.stage.kind === "sink" ? this.collector.planOf(this.stage as SinkPlan, life) : processorUnderTest(this.stage as ProcessorPlan, life, () => true);
  }

  async run(): Promise<void> {
    do {
      while (this.queue.step()) await settle();
      await settle();
    } while (!this.queue.isEmpty);
  }

  /** One frame of two events. */
  give(): void {
    if (this.stage.kind === "source") { this.feed.give({ kind: "event", data: 1 }); return; }
    const { from } = this.stage.inputs[0] as { from: string }, { mailbox } = this.#subjects(this.stage.name);
    const frame = encodeFrame({ from: `f/${from}/0`, generation, term: [1, new Uint8Array(8)], before: null, seq: 1, n: 2, edge: 0, watermark: null, note: null, shapes: [], types: [], rows: [[0, 1, null, null, -1, 1], [1, 2, null, null, -1, 2]] });
    this.server.streams.get(streamName(mailbox(0)))?.append(mailbox(0), message(new Uint8Array(8), frame), undefined);
  }

  #messages(subject: string): readonly Uint8Array[] {
    const stream = this.server.streams.get(streamName(subject)), { first, last } = stream?.bounds() ?? { first: 1, last: 0 };
    return Array.from({ length: last - first + 1 }, (_, i) => stream?.at(first + i)?.data as Uint8Array);
  }

  async seen(): Promise<unknown> {
    const store = await new MemoryStores(this.disk).open(`f/${this.stage.name}/${generation}/0`), journal = new Journal(store, "here").head?.n;
    await store.close();
    const sent = ["double", "one", "two"].filter((name) => this.stage.readers.some(({ to }) => to === name)).flatMap((name) => this.#messages(this.#subjects(name).mailbox(0)).map((data) => `${name} ${decodeMessage(data).rows.length}`));
    return { handled: this.calls, log: this.#messages(this.#subjects(this.stage.name).log).map((data) => decodeRecord(data).kind), journal, sent, written: this.collector.events.length };
  }
}

const crashed = (name: string, point: CrashPoint, guarantee: string, seen: object): void => {
  test(`${name}, ${point}: ${guarantee}`, async () => {
    const stand = new Stand(name);
    const started = stand.life.start();
    await stand.run();
    await started;
    assert.ok(stand.life.running);
    stand.life.crashAt = point;
    stand.give();
    await stand.run();
    assert.equal([stand.crashed, stand.life.dead, stand.life.running], [1, true, false]);
    assert.equal(await stand.seen(), seen);
    // Whatever it still wanted, time and messages included.
    stand.clock.jump(100_000);
    stand.give();
    await stand.run();
    assert.equal({ ...((await stand.seen()) as object), sent: [] }, { ...seen, sent: [] });
  });
};

const claimed = { log: ["claim"], journal: 1, sent: [], written: 0 }, committed = { log: ["claim", "turn"], journal: 2, sent: [], written: 0 };
crashed("double", "before-handler", "its frame is there, no handler was called", { handled: 0, ...claimed });
crashed("double", "before-commit", "all is handled, nothing in the log", { handled: 2, ...claimed });
crashed("double", "after-commit", "the log has the record, the journal has not", { handled: 2, ...committed, journal: 1 });
crashed("double", "after-journal", "the journal has it, nothing is sent", { handled: 2, ...committed });
crashed("double", "while-sending", "some of it is sent", { handled: 2, ...committed, sent: ["one 2"] });
crashed("double", "after-sending", "all of it is sent, no record says so", { handled: 2, ...committed, sent: ["one 2", "two 2"] });

crashed("source", "before-handler", "its event is not taken", { handled: 0, ...claimed });
crashed("source", "before-commit", "its event is taken, nothing in the log", { handled: 0, ...claimed });
crashed("source", "after-commit", "the log has the record, the journal has not", { handled: 0, ...committed, journal: 1 });
crashed("source", "after-journal", "the journal has it, nothing is sent", { handled: 0, ...committed });
crashed("source", "while-sending", "some of it is sent", { handled: 0, ...committed, sent: ["double 1"] });
crashed("source", "after-sending", "all of it is sent, no record says so", { handled: 0, ...committed, sent: ["double 1", "two 1"] });

crashed("one", "before-handler", "its frame is not taken", { handled: 0, ...claimed });
crashed("one", "before-commit", "its batch is not fixed", { handled: 0, ...claimed });
crashed("one", "after-commit", "its batch is fixed in the log", { handled: 0, ...committed, journal: 1 });
crashed("one", "after-journal", "its batch is fixed, nothing is written", { handled: 0, ...committed });
crashed("one", "while-sending", "its batch is written, and it does not know that", { handled: 0, ...committed, written: 2 });
crashed("one", "after-sending", "its batch is written, no record says so", { handled: 0, ...committed, written: 2 });

test("a life ends where it is told, wherever it is not, and only once", async () => {
  const stand = new Stand("double"), started = stand.life.start();
  await stand.run();
  await started;
  stand.life.kill();
  stand.life.kill();
  assert.ok(stand.life.reaches("after-journal"), "a dead one does nothing more at any point");
  assert.is(stand.crashed, 0);
  stand.give();
  await stand.run();
  assert.is(stand.calls, 0);
});

test("a life that is killed while it starts never runs", async () => {
  const stand = new Stand("double");
  void stand.life.start();
  stand.queue.step();
  stand.life.kill();
  await stand.run();
  assert.not.ok(stand.life.running);
});

test.run();
