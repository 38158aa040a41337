// What a look at a flow says of channels whose two ends do not fit (P17, P23, P30), on logs that are written by hand; and of a real one whose
// sender went on with another history after a loss.
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { Anchors } from "../../../runtime/actor/anchors.ts";
import type { Frame } from "../../../runtime/event/frame.ts";
import { decodeMessage, encodeFrame, message } from "../../../runtime/event/frame.ts";
import type { Term } from "../../../runtime/event/term.ts";
import { encodeRecord, type Body, type RecordKind } from "../../../runtime/journal/record.ts";
import { Journal } from "../../../runtime/journal/journal.ts";
import { writeRun } from "../../../runtime/node/run-record.ts";
import { repair } from "../../../runtime/repair/repair.ts";
import type { RepairReport } from "../../../runtime/repair/report.ts";
import { survey } from "../../../runtime/repair/survey.ts";
import { systemClock, systemRandom } from "../../../runtime/event/clock.ts";
import { MemoryBroker } from "../../../runtime/testing/memory-broker.ts";
import { MemoryServer } from "../../../runtime/testing/memory-server.ts";
import { MemoryDisk, MemoryStores } from "../../../runtime/testing/memory-store.ts";
import { inSmallTurns } from "../../support/summed.ts";
import { count, LossCase } from "./loss-case.ts";

const test = suite("channels of a flow after a loss");
inSmallTurns(test);

const generation = "token000-1", from = "sums/feed/0", target = ["out", generation, 0, 0] as const;
const term = (counter: number, mark = 1): Term => [counter, new Uint8Array(8).fill(mark)], round = new Uint8Array(8).fill(9);
const frame = (seq: number, of: Term, before: Term | null): Uint8Array => encodeFrame({ from, generation, term: of, before, seq, n: seq + 1, edge: 0, watermark: null, note: null, shapes: [], types: [], rows: [] } satisfies Frame);

interface Ends {
  /** Records of the sender after its claim, which is number 1. */
  readonly sender: readonly (readonly [kind: RecordKind, n: number, body: Body, term?: Term])[];
  /** Number and term of the frame that the reader has accepted last. */
  readonly read: readonly [seq: number, term: Term];
  /** Frames in the mailbox; the reader's position is behind the first `read` of them. */
  readonly mailbox: readonly Uint8Array[];
}

/** A source and a sink, and one channel between them. */
async function flowOf({ sender, read: [seq, its], mailbox }: Ends): Promise<MemoryBroker> {
  const broker = new MemoryBroker(new MemoryServer()), stage = (name: string, kind: "source" | "sink") => ({ name, kind, parallelism: 1, order: "arrival", inputs: [], parts: [], state: [] });
  await writeRun(broker.keys, "sums", {
    token: "token000", state: "running", code: "c", node: "n", startedAt: 0, inputs: [], shape: { stages: [stage("feed", "source"), stage("out", "sink")] } as never,
    stages: [{ name: "feed", generation, parallelism: 1 }, { name: "out", generation, parallelism: 1 }],
  }, 0);
  const append = async (subject: string, messages: readonly Uint8Array[], firstSequence = 1): Promise<void> => {
    await broker.create({ name: subject.replaceAll(".", "_"), subject, replicas: 1, firstSequence });
    for (const data of messages) assert.type(await broker.stream(subject.replaceAll(".", "_"), subject).append(data), "number");
  };
  const record = (kind: RecordKind, n: number, body: Body, of = term(1)): Uint8Array => encodeRecord({ kind, n, term: of, previous: n - 1, code: "c", body });
  await broker.create({ name: "mr_dead_sums", subject: "mr.dead.sums.>", replicas: 1 });
  const base = `mr.actor.sums`, [first] = sender;
  await append(`${base}.feed.${generation}.0.log`, sender.map(([kind, n, body, of]) => record(kind, n, body, of)), first?.[1]);
  await append(`${base}.out.${generation}.0.log`, [record("claim", 1, { node: "n", k: 0 }), record("turn", 2, { inputs: [[0, Math.min(seq, mailbox.length), round, from, seq]], cursors: [[0, from, generation, seq, its, 0, null, [[1, its]]]] })]);
  await append(`${base}.out.${generation}.0.in.0`, mailbox.map((data) => message(round, data)));
  return broker;
}

const out = (...frames: readonly (readonly [seq: number, term: Term, before: Term | null])[]): Body => ({ out: frames.map(([seq, of, before]) => [target, seq, frame(seq, of, before)]) });
const snapshot = (n: number, sent: number, settled: number): Body => ({ snapshot: { n, entries: [], chunks: [] }, sent: [[target, sent, term(1)]], settled: [[target, settled, settled]] });

async function found(ends: Ends): Promise<readonly (readonly [what: string, mends: boolean, says: string])[]> {
  const broker = await flowOf(ends);
  await using its = await survey("sums", { broker, journals: [] });
  return its?.behind.map(({ about, what, mends, says }) => [`${what} of ${about}`, mends, says] as const) ?? [];
}

const three = [frame(1, term(1), null), frame(2, term(1), term(1)), frame(3, term(1), term(1))];

test("both ends fit: nothing", async () => {
  assert.equal(await found({ sender: [["claim", 1, {}], ["turn", 2, out([1, term(1), null], [2, term(1), term(1)], [3, term(1), term(1)])]], read: [2, term(1)], mailbox: three }), []);
});

test("frames that are in no record, and none says that they were stored, though their reader has them: said, and a repair makes it good", async () => {
  const ends: Ends = { sender: [["snapshot", 6, snapshot(5, 3, 1)]], read: [3, term(1)], mailbox: three }, [one, ...more] = await found(ends);
  assert.equal(more, []);
  assert.equal(one?.slice(0, 2), ["sent of sums/feed/0", true]);
  assert.match(one?.[2] ?? "", /frames 2 to 3 that it sent to sums\/out\/0 are in no record of it, and none says that they were stored; its reader has them/);
  const broker = await flowOf(ends), mend = () => repair("sums", { broker, journals: [], clock: systemClock, random: systemRandom, specs: undefined });
  assert.is((await mend()).status, "repaired");
  assert.is((await mend()).status, "whole");
});

test("the same, and their reader has not read them, nor are they in its mailbox: gone", async () => {
  const [one, ...more] = await found({ sender: [["snapshot", 6, snapshot(5, 3, 1)]], read: [1, term(1)], mailbox: three.slice(0, 1) });
  assert.equal(more, []);
  assert.equal(one?.slice(0, 2), ["frames of sums/out/0", false]);
  assert.match(one?.[2] ?? "", /frames 2 to 3 from sums\/feed\/0 are gone/);
});

test("the same, and the journal of a node where the sender ran before still holds them: they go from there into the mailbox", async () => {
  const ends: Ends = { sender: [["snapshot", 6, snapshot(5, 3, 1)]], read: [1, term(1)], mailbox: three.slice(0, 1) }, broker = await flowOf(ends), stores = new MemoryStores(new MemoryDisk());
  const store = await stores.open(`sums/feed/${generation}/0`), record = (n: number, body: Body, kind: RecordKind = "turn"): Uint8Array => encodeRecord({ kind, n, term: term(1), previous: n - 1, code: "c", body });
  await new Journal(store, from).write([record(1, {}, "claim"), record(2, out([1, term(1), null], [2, term(1), term(1)])), record(3, out([3, term(1), term(1)]))].map((bytes, at) => ({ n: at + 1, seq: at + 1, bytes })));
  await store.close();
  const mend = (journals: boolean): Promise<RepairReport> => repair("sums", { broker, journals: journals ? [{ node: "n2", stores }] : [], clock: systemClock, random: systemRandom, specs: undefined });
  const { status, behind, actors } = await mend(true);
  assert.is(status, "repaired", JSON.stringify(behind));
  assert.equal(behind.map(({ says }) => says), ["frames 2 to 3 from sums/feed/0 are in no mailbox, and would not be sent again; the journal on n2 still holds them"]);
  assert.equal(actors.find(({ actor }) => actor === "sums/out/0")?.given, [{ from, first: 2, last: 3, node: "n2" }]);
  const subject = `mr.actor.sums.out.${generation}.0.in.0`, mailbox = broker.stream(subject.replaceAll(".", "_"), subject);
  assert.equal([await mailbox.get(2), await mailbox.get(3)].map((stored) => decodeMessage(stored?.data ?? new Uint8Array()).seq), [2, 3]);
  assert.is((await mend(false)).status, "whole");
});

for (const [how, ends] of Object.entries<Ends>({
  "a frame that was read has another term in the sender's record": { sender: [["claim", 1, {}, term(2)], ["turn", 2, out([1, term(1), null], [2, term(2), term(1)], [3, term(2), term(2)]), term(2)]], read: [2, term(1)], mailbox: three.slice(0, 2) },
  "the next frame names another one before it": { sender: [["claim", 1, {}, term(2)], ["snapshot", 6, snapshot(5, 2, 2), term(2)], ["turn", 7, out([3, term(2), term(2)]), term(2)]], read: [2, term(1)], mailbox: three.slice(0, 2) },
  "so does the one in the mailbox": { sender: [["claim", 1, {}, term(2)], ["snapshot", 6, snapshot(5, 3, 3), term(2)]], read: [2, term(1)], mailbox: [...three.slice(0, 2), frame(3, term(2), term(2))] },
  "it has got less far than was read": { sender: [["claim", 1, {}, term(2)], ["turn", 2, out([1, term(1), null], [2, term(2), term(1)]), term(2)]], read: [3, term(1)], mailbox: three },
  "terms have the same counter and another mark": { sender: [["claim", 1, {}, term(1, 2)], ["turn", 2, out([1, term(1, 2), null], [2, term(1, 2), term(1, 2)], [3, term(1, 2), term(1, 2)]), term(1, 2)]], read: [2, term(1)], mailbox: three.slice(0, 2) },
})) {
  test(`a sender that tells otherwise what was read is found (P17): ${how}`, async () => {
    const forks = (await found(ends)).filter(([what]) => what === "history of sums/out/0");
    assert.is(forks.length, 1, JSON.stringify(await found(ends)));
    assert.match(forks[0]?.[2] ?? "", /sums\/feed\/0 wrote its history anew after a loss: what it tells from frame \d on does not fit what sums\/out\/0 has, read or in its mailbox; that one parks \(HISTORY_FORKED\)/);
    assert.is(forks[0]?.[1], false);
  });
}

test("frames that the sender's log knows nothing of: all that their reader has are told, read or in its mailbox, and that it decides them anew", async () => {
  const mailbox = [...three, frame(4, term(1), term(1)), frame(5, term(1), term(1))], sender: Ends["sender"] = [["claim", 1, {}], ["turn", 2, out([1, term(1), null], [2, term(1), term(1)])]];
  const told = (frames: string) => [["frames of sums/feed/0", false, `sums/out/0 has ${frames} of it, read or in its mailbox, of which its log knows nothing: it lost records that no journal has, and decides them anew`]];
  assert.equal(await found({ sender, read: [1, term(1)], mailbox: three }), told("frame 3"), "only in the mailbox");
  assert.equal(await found({ sender, read: [3, term(1)], mailbox: three }), told("frame 3"), "read");
  assert.equal(await found({ sender, read: [3, term(1)], mailbox }), told("frames 3 to 5"), "read, and in the mailbox");
});

test("frames for a mailbox that its reader knows nothing of are looked for as in an empty one", async () => {
  const other = [...target.slice(0, 3), 1] as unknown as typeof target, sender: Ends["sender"] = [["snapshot", 6, { snapshot: { n: 5, entries: [], chunks: [] }, sent: [[other, 2, term(1)]], settled: [[other, 0, 0]] }]];
  assert.equal((await found({ sender, read: [0, term(1)], mailbox: [] })).filter(([what]) => what === "frames of sums/out/0"), [["frames of sums/out/0", false, "frames 1 to 2 from sums/feed/0 are gone: neither a mailbox nor a record holds them"]]);
});

test("a reader that parked since its sender went on with another history: a repair says so, and that it does not mend", async () => {
  await using its = await LossCase.make();
  await its.run(60);
  const [name, log] = [...its.world.server.streams].find(([one]) => /_feed_.*_log$/.test(one)) as [string, { bounds(): { last: number } }];
  its.world.server.rollback(name, log.bounds().last - 3);
  for (const journal of [...its.world.journals.stores.keys()]) if (journal.startsWith("sums/feed/")) its.world.journals.stores.delete(journal);
  // As where its readers are on another node: what they have read is not known to it, else it would park first.
  const { checkSent } = Anchors.prototype;
  Anchors.prototype.checkSent = () => Promise.resolve();
  try {
    assert.is(await its.run(count), "HISTORY_FORKED");
  } finally {
    Anchors.prototype.checkSent = checkSent;
  }
  const { status, behind, lost } = await its.repair();
  assert.is(status, "stuck");
  assert.ok(behind.some(({ about, what }) => what === "history" && about.startsWith("sums/work/")), JSON.stringify(behind));
  assert.ok(lost.some((line) => line.includes("HISTORY_FORKED")));
  assert.is(await its.run(count), "HISTORY_FORKED");
});

test.run();
