// Replay of what recovery gives, onto an actor that has not begun.
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { map } from "../../../actors/index.ts";
import { type ActorEnvironment, Turnstile } from "../../../runtime/actor/environment.ts";
import { RecordKeeper } from "../../../runtime/actor/record-keeper.ts";
import { replayAll } from "../../support/replay-all.ts";
import { createActor } from "../../../runtime/actor/wiring.ts";
import { encodeFrame } from "../../../runtime/event/frame.ts";
import type { Term } from "../../../runtime/event/term.ts";
import type { StagePlan } from "../../../runtime/flow/plan.ts";
import { Journal } from "../../../runtime/journal/journal.ts";
import type { CommitRecord } from "../../../runtime/journal/record.ts";
import type { Recovered } from "../../../runtime/journal/recovery.ts";
import { ManualClock } from "../../../runtime/testing/manual-clock.ts";
import { MemoryBroker } from "../../../runtime/testing/memory-broker.ts";
import { MemoryServer } from "../../../runtime/testing/memory-server.ts";
import { MemoryDisk, MemoryStores } from "../../../runtime/testing/memory-store.ts";
import { SeededRandom } from "../../../runtime/testing/seeded-random.ts";
import { ActorBench } from "../../support/actor-bench.ts";

const test = suite("replay"), term: Term = [1, new Uint8Array(8)], silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

/** An actor whose reader "out" is of generation 2 by the plan as this node has seen it last, or still of 1. */
function reading(seen: 1 | 2) {
  const { flow } = new ActorBench(map((data: unknown) => data)), clock = new ManualClock(), stage = flow.stages.find(({ name }) => name === "work") as StagePlan, division = { generation: `g-${seen}`, count: 1 };
  const env: ActorEnvironment = {
    flow, division: (name) => (name === "out" ? division : { generation: "g-1", count: 1 }), generations: { first: () => ({ generation: "g-1", count: 1 }), next: () => undefined, retired: (name, generation) => seen === 2 && name === "out" && generation === "g-1" },
    code: "code", node: "n", broker: new MemoryBroker(new MemoryServer({ clock })), stores: new MemoryStores(new MemoryDisk()), clock, random: new SeededRandom(1), log: silent, soon: () => {}, retainMs: 0, replicas: 1, oneByOne: new Turnstile(), readerCursor: () => undefined,
  };
  return { env, actor: createActor(env, stage, 0, { onExit: () => {}, onState: () => {}, onPoison: () => {} }) };
}

const frame = (seq: number): Uint8Array => encodeFrame({ from: "f/work/0", generation: "g-1", term, before: seq === 1 ? null : term, seq, n: seq, edge: 0, watermark: null, note: null, shapes: [], types: [], rows: [] });

for (const seen of [1, 2] as const) test(`frames to a generation that the snapshot has forgotten are not sent again, and are no loss, where the plan as last seen is ${seen === 1 ? "the old" : "the new"} one`, async () => {
  const { env, actor } = reading(seen), journal = new Journal(await env.stores.open("f/work/g-1/0"), actor.address), keeper = new RecordKeeper(env.broker.stream("log", "log"), journal, env.clock, 0);
  // Kept for another reader's sake, and read again for its frames.
  const records: readonly CommitRecord[] = [
    { kind: "turn", n: 2, term, previous: 1, code: "code", body: { out: [[["out", "g-1", 0, 0], 1, frame(1)]] } },
    { kind: "turn", n: 5, term, previous: 4, code: "code", body: { out: [[["out", "g-2", 0, 0], 2, frame(2)]] } },
  ];
  const recovered = {
    journal, term, n: 6, folded: { n: 4, body: { routing: [["out", "g-2", 1]], sent: [[["out", "g-2", 0, 0], 1, term]], settled: [[["out", "g-2", 0, 0], 1, 1]] } },
    async *records() { for (const record of records) yield { record, seq: record.n, size: 100 }; },
  } as unknown as Recovered;
  await replayAll(actor, recovered, keeper);
  assert.equal(actor.emitter.outlets.map(({ id, seq, delivery }) => [id, seq, delivery.unsettled]), [["out/g-2/0/0", 2, 1]]);
  actor.exit({ class: "shutdown" });
});

test.run();
