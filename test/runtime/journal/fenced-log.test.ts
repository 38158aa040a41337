import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { BrokerStream } from "../../../runtime/broker/broker.ts";
import { pause } from "../../../runtime/event/clock.ts";
import { FencedLog, type Outcome, untilAnswered } from "../../../runtime/journal/fenced-log.ts";
import { encodeRecord } from "../../../runtime/journal/record.ts";
import { ManualClock, settle } from "../../../runtime/testing/manual-clock.ts";
import { MemoryBroker } from "../../../runtime/testing/memory-broker.ts";
import { MemoryServer } from "../../../runtime/testing/memory-server.ts";
import { Chance, seed } from "../../actors/seeded.ts";
import { driven } from "../../support/driven.ts";
import { rejection } from "../../support/rejection.ts";
import { ScriptedNetwork, type StepFate } from "../../support/scripted-network.ts";

const test = suite("fenced log");
const bytes = (text: string) => Buffer.from(text);

class LogWorld {
  readonly clock = new ManualClock();
  readonly server = new MemoryServer({ clock: this.clock });
  readonly network = new ScriptedNetwork();
  readonly broker = new MemoryBroker(this.server, this.network);
  readonly abort = new AbortController();
  waits = 0;
  readonly stream: BrokerStream;
  /** Another node's connection. */
  readonly rival: BrokerStream;

  constructor() {
    this.server.create({ name: "log", subject: "mr.log", replicas: 1 });
    this.stream = this.broker.stream("log", "mr.log");
    this.rival = new MemoryBroker(this.server).stream("log", "mr.log");
  }

  log(at = 0, mine?: Uint8Array): FencedLog {
    return new FencedLog(this.stream, at, mine, { clock: this.clock, signal: this.abort.signal, onWait: () => { this.waits++; } });
  }

  append(log: FencedLog, text: string): Promise<Outcome> {
    return driven(this.clock, log.append(bytes(text)));
  }

  get stored(): readonly string[] {
    const stream = this.server.streams.get("log"), { first, last } = stream?.bounds() ?? { first: 1, last: 0 };
    return Array.from({ length: last - first + 1 }, (_, i) => Buffer.from(stream?.at(first + i)?.data ?? []).toString());
  }
}

test("records are accepted one after the other, each at the next sequence (P1)", async () => {
  const world = new LogWorld(), log = world.log();
  for (const [i, text] of ["one", "two", "three"].entries()) {
    assert.is(await world.append(log, text), "accepted");
    assert.is(log.at, i + 1);
  }
  assert.equal(world.stored, ["one", "two", "three"]);
  assert.is(world.network.count("read"), 0, "an accepted record needs no question");
});

// P2, P3: whatever became of an attempt, the record is there once.
for (const [name, fates] of [
  ["its ack is lost", [["ack", "lost"]]],
  ["it is lost on its way", [["append", "lost"]]],
  ["it is lost three times", [["append", "lost"], ["append", "lost"], ["append", "lost"]]],
  ["it is lost, and the ack of the attempt after it", [["append", "lost"], ["ack", "lost"]]],
  ["the server says that it does not know", [["append", "unknown"]]],
  ["the server refuses, and nothing is stored", [["append", "refused"]]],
  ["the stream is said to be full", [["append", "full"]]],
  ["it arrives twice", [["append", "twice"]]],
  ["the question after it is lost, too", [["ack", "lost"], ["read", "lost"]]],
  ["the answer to the question is lost", [["append", "lost"], ["answer", "lost"]]],
] as const) {
  test(`a record is accepted, and stored once: ${name} (P2)`, async () => {
    for (const before of [0, 1]) {
      const world = new LogWorld(), log = world.log();
      if (before === 1) await world.append(log, "before");
      for (const [leg, fate] of fates) world.network.next(leg, [fate as StepFate]);
      assert.is(await world.append(log, "mine"), "accepted");
      assert.equal(world.stored, [...(before === 1 ? ["before"] : []), "mine"]);
      assert.is(log.at, before + 1);
      assert.ok(world.network.done);
      assert.is(await world.append(log, "after"), "accepted");
      assert.equal(world.stored.at(-1), "after");
    }
  });
}

test("an attempt that is stored late does not store the record twice: the one after it is refused, and that is mine (P2, P3)", async () => {
  const world = new LogWorld(), log = world.log();
  await world.append(log, "before");
  // The first attempt waits on the way; the second overtakes nothing: it arrives after the first.
  world.network.next("append", ["held"]).next("answer", ["held"]);
  const appended = log.append(bytes("mine"));
  await world.clock.elapse(700);
  // The question was answered before the first attempt arrived.
  assert.is(world.network.holds, 2);
  world.network.release();
  assert.is(await driven(world.clock, appended), "accepted");
  assert.equal(world.stored, ["before", "mine"]);
  assert.is(log.at, 2);
});

test("a late copy that arrives after the record was accepted is refused by the log itself", async () => {
  const world = new LogWorld(), log = world.log();
  world.network.next("append", ["held"]);
  assert.is(await world.append(log, "mine"), "accepted");
  assert.is(await world.append(log, "after"), "accepted");
  world.network.release();
  await settle();
  assert.equal(world.stored, ["mine", "after"]);
});

test("it is told when the broker does not answer, and goes on by itself when it does", async () => {
  const world = new LogWorld(), log = world.log();
  world.broker.disconnect();
  const appended = log.append(bytes("mine"));
  await world.clock.elapse(3_000);
  assert.ok(world.waits >= 10, `${world.waits} waits`);
  assert.equal(world.stored, []);
  world.broker.reconnect();
  assert.is(await driven(world.clock, appended), "accepted");
  assert.equal(world.stored, ["mine"]);
});

test("a stream that is not there is waited for", async () => {
  const world = new LogWorld(), log = world.log();
  world.server.remove("log");
  const appended = log.append(bytes("mine"));
  await world.clock.elapse(1_000);
  world.server.create({ name: "log", subject: "mr.log", replicas: 1 });
  assert.is(await driven(world.clock, appended), "accepted");
});

// P4: another owner's claim.
for (const [name, script] of [
  ["before the attempt", undefined], ["while the attempt was on its way", "held"],
] as const) {
  test(`another owner's record ${name}: fenced, and nothing stored (P3, P4)`, async () => {
    const world = new LogWorld(), log = world.log();
    await world.append(log, "mine");
    if (script !== undefined) world.network.next("append", [script]);
    const appended = script === undefined ? undefined : log.append(bytes("more"));
    await world.rival.append(bytes("claim"), 1);
    world.network.release();
    assert.is(await driven(world.clock, appended ?? log.append(bytes("more"))), "fenced");
    assert.equal(world.stored, ["mine", "claim"]);
    assert.is(log.at, 1);
  });
}

test("another owner's record after mine, whose ack was lost: fenced, though mine is in the log", async () => {
  const world = new LogWorld(), log = world.log();
  await world.append(log, "one");
  world.network.next("ack", ["lost"]);
  const appended = log.append(bytes("two"));
  await settle();
  await world.rival.append(bytes("claim"), 2);
  assert.is(await driven(world.clock, appended), "fenced");
  assert.equal(world.stored, ["one", "two", "claim"]);
});

test("another owner's record, and mine purged since: fenced, not lost (P2)", async () => {
  const world = new LogWorld(), log = world.log();
  await world.append(log, "mine");
  await world.rival.append(bytes("claim"), 1);
  await world.rival.append(bytes("snapshot"), 2);
  await world.rival.purge(3);
  assert.is(await world.append(log, "more"), "fenced");
});

test("an owner that begins with an empty log and finds another's record is fenced", async () => {
  const world = new LogWorld(), log = world.log();
  await world.rival.append(bytes("claim"), 0);
  assert.is(await world.append(log, "mine"), "fenced");
  assert.equal(world.stored, ["claim"]);
});

test("a record that is mine but for its mark is another's (†mark)", async () => {
  const record = (mark: number) => encodeRecord({ kind: "claim", n: 2, term: [1, new Uint8Array(8).fill(mark)], previous: 1, code: "c", body: {} });
  const world = new LogWorld(), log = world.log();
  await world.append(log, "one");
  await world.rival.append(record(1), 1);
  world.network.next("append", ["unknown"]);
  assert.is(await driven(world.clock, log.append(record(2))), "fenced");
});

// Section 10: what was acknowledged is gone.
for (const [name, lose] of [
  ["the log ends before the record accepted last", (world: LogWorld) => world.server.rollback("log", 1)],
  ["the log is empty", (world: LogWorld) => world.server.rollback("log", 0)],
  ["another record stands there, and others after it", (world: LogWorld) => { world.server.rollback("log", 1); void world.rival.append(bytes("other"), 1); void world.rival.append(bytes("another"), 2); }],
] as const) {
  test(`lost: ${name}; nothing is appended`, async () => {
    const world = new LogWorld(), log = world.log();
    await world.append(log, "one");
    await world.append(log, "two");
    lose(world);
    await settle();
    const before = world.stored;
    assert.is(await world.append(log, "three"), "lost");
    assert.equal(world.stored, before);
  });
}

for (const [name, change, holds] of [
  ["is still there", () => {}, true], ["is there, and others after it", (world: LogWorld) => { void world.rival.append(bytes("claim"), 2); }, true],
  ["was purged", (world: LogWorld) => { void world.rival.append(bytes("claim"), 2); void world.rival.purge(3); }, true],
  ["is gone", (world: LogWorld) => world.server.rollback("log", 1), false],
  // Compare-and-set cannot see that: the numbers are the same.
  ["has another one in its place", (world: LogWorld) => { world.server.rollback("log", 1); void world.rival.append(bytes("other"), 1); }, false],
] as const) {
  test(`asked after a reconnect: the record accepted last ${name} (P30)`, async () => {
    const world = new LogWorld(), log = world.log();
    assert.ok(await log.holdsMine(), "nothing was accepted yet");
    await world.append(log, "one");
    await world.append(log, "two");
    change(world);
    await settle();
    assert.is(await log.holdsMine(), holds);
  });
}

test("an owner that takes over builds on exactly the record that it read", async () => {
  const world = new LogWorld();
  await world.rival.append(bytes("theirs"), 0);
  assert.is(await world.append(world.log(1, bytes("theirs")), "claim"), "accepted");
  assert.is(await world.append(world.log(1, bytes("theirs")), "late claim"), "fenced");
  assert.equal(world.stored, ["theirs", "claim"]);
});

test("what it was to build on has changed since it was read: lost", async () => {
  const world = new LogWorld(), log = world.log(1, bytes("theirs"));
  await world.rival.append(bytes("other"), 0);
  world.network.next("append", ["unknown"]);
  assert.is(await world.append(log, "claim"), "lost");
});

for (const [name, prepare] of [
  ["while it waits for a broker that does not answer", (world: LogWorld) => { world.broker.disconnect(); }],
  ["while its attempt is under way", (world: LogWorld) => { world.network.next("append", ["lost"]); }],
] as const) {
  test(`ended ${name}: fenced, and it appends no more (I9)`, async () => {
    const world = new LogWorld(), log = world.log();
    prepare(world);
    const appended = log.append(bytes("mine"));
    await settle();
    world.abort.abort();
    assert.is(await driven(world.clock, appended), "fenced");
    assert.equal(world.stored, []);
    assert.is(world.network.count("append"), name.includes("under way") ? 1 : 0);
  });
}

test("an error that is no outage is not waited out", async () => {
  const world = new LogWorld(), options = { clock: world.clock, signal: world.abort.signal };
  const failed = untilAnswered(() => Promise.reject(new TypeError("wrong")), options);
  try {
    await failed;
    assert.unreachable();
  } catch (error) {
    assert.instance(error, TypeError);
  }
  assert.is((await rejection(untilAnswered(() => world.broker.create({ name: "other", subject: "mr.log", replicas: 1 }) as Promise<never>, options))).code, "STREAM_CONFLICT");
});

test("refused for good although nothing changed: asked again less and less often, at most each second, and it goes on when it is let", async () => {
  const world = new LogWorld(), asked: number[] = [];
  let lets = false;
  const stream: BrokerStream = { ...world.stream, append: (data, expected) => { asked.push(world.clock.monotonic()); return lets ? world.stream.append(data, expected) : Promise.resolve("refused"); } };
  const log = new FencedLog(stream, 0, undefined, { clock: world.clock, signal: world.abort.signal, onWait: () => { world.waits++; } }), outcome = log.append(bytes("one"));
  while (world.clock.monotonic() < 10_000) { await settle(); world.clock.advance(50); }
  await settle();
  assert.ok(asked.length > 8 && asked.length < 25, `${asked.length} times in 10 s`);
  const gaps = asked.slice(1).map((at, i) => at - (asked[i] as number));
  assert.ok(gaps.every((gap) => gap <= 1_050) && (gaps.at(-1) as number) >= 1_000, gaps.join());
  assert.ok(world.waits > 0, "it is shown as unavailable");
  lets = true;
  assert.is(await driven(world.clock, outcome), "accepted");
  assert.equal(world.stored, ["one"]);
});

test("a pause ends with its time or with the signal, and leaves neither timer nor listener", async () => {
  const world = new LogWorld();
  await driven(world.clock, pause(100, { clock: world.clock, signal: world.abort.signal }));
  assert.is(world.clock.monotonic(), 100);
  const paused = pause(100, { clock: world.clock, signal: world.abort.signal });
  world.abort.abort();
  await paused;
  assert.is(world.clock.pending, 0);
});

test(`two owners over a network that loses: no record is accepted twice, none by the owner that is fenced (SEED=${seed})`, async () => {
  for (let run = 0; run < 300; run++) {
    const chance = new Chance(seed + run), clock = new ManualClock(), server = new MemoryServer({ clock });
    server.create({ name: "log", subject: "mr.log", replicas: 1 });
    const accepted: string[] = [], owner = async (name: string): Promise<void> => {
      const network = new ScriptedNetwork(), stream = new MemoryBroker(server, network).stream("log", "mr.log");
      for (let i = 0; i < 30; i++) for (const leg of ["append", "ack", "read", "answer"] as const) network.next(leg, [chance.next() < 0.3 ? chance.of<StepFate>(leg === "append" ? ["lost", "unknown", "refused", "twice"] : ["lost"]) : "carried"]);
      const signal = new AbortController().signal, last = await untilAnswered(() => stream.last(), { clock, signal });
      if (last === "aborted") return;
      const log = new FencedLog(stream, last?.seq ?? 0, last?.data, { clock, signal });
      for (let i = 0; i < 5; i++) {
        const outcome = await log.append(bytes(`${name} ${i}`));
        assert.is.not(outcome, "lost");
        if (outcome === "fenced") return;
        accepted.push(`${log.at} ${name} ${i}`);
      }
    };
    await driven(clock, Promise.all([owner("a"), owner("b")]), 10_000_000);
    const stream = server.streams.get("log"), { last } = stream?.bounds() ?? { last: 0 };
    const stored = Array.from({ length: last }, (_, i) => `${i + 1} ${Buffer.from(stream?.at(i + 1)?.data ?? []).toString()}`);
    assert.is(new Set(stored.map((one) => one.slice(one.indexOf(" ")))).size, stored.length, `run ${run}: each once: ${stored.join(", ")}`);
    for (const one of accepted) assert.ok(stored.includes(one), `run ${run}: ${one} was accepted: ${stored.join(", ")}`);
    // What one owner holds of the log is without a hole until it is fenced.
    for (const name of ["a", "b"]) {
      const its = stored.filter((one) => one.includes(` ${name} `));
      assert.equal(its.map((one) => Number(one.split(" ")[2])), its.map((_, i) => i), `run ${run}`);
    }
  }
});

test.run();
