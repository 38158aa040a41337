import { suite } from "uvu";
import * as assert from "uvu/assert";
import { systemClock, systemRandom } from "../../../runtime/event/clock.ts";
import { MillraceError, defineFlow, defineSource, type Flow } from "../../../runtime/index.ts";
import { type FlowPlan, planOf } from "../../../runtime/flow/plan.ts";
import { FlowRun, type RunEnvironment } from "../../../runtime/node/run.ts";
import type { RunMode } from "../../../runtime/node/run-choice.ts";
import { RunNotes } from "../../../runtime/node/run-note.ts";
import { readRun, writeRun } from "../../../runtime/node/run-record.ts";
import { MemoryBroker } from "../../../runtime/testing/memory-broker.ts";
import { MemoryServer } from "../../../runtime/testing/memory-server.ts";
import { MemoryStores } from "../../../runtime/testing/memory-store.ts";
import { sink, step } from "../../support/flow-parts.ts";
import { rejection } from "../../support/rejection.ts";

const test = suite("run");

interface Shape { parallelism?: number; input?: string | Error }

function flow({ parallelism = 2, input = "f1" }: Shape = {}): Flow {
  return defineFlow("quakes", (builder) => {
    const feed = builder.source("feed", defineSource<number, number>({
      kind: "rows", guarantee: "replayable", start: 0, ends: true, fingerprint: () => (input instanceof Error ? Promise.reject(input) : Promise.resolve(input)), read: () => { throw new Error("nothing is read here"); },
    }));
    const felt = builder.processor("felt", feed, { parallelism, mailbox: { maxFrames: 100 } }, step("map"));
    builder.sink("report", felt, sink());
  });
}

function world(retainMs = 0) {
  const server = new MemoryServer(), broker = new MemoryBroker(server), removed: string[] = [], notes = new RunNotes(new MemoryStores());
  const env = (more: Partial<RunEnvironment> = {}): RunEnvironment => ({
    broker, notes, clock: systemClock, random: systemRandom, node: "n1", replicas: 1, retainMs, removeOldJournals: async (of, token) => void removed.push(`${of} but ${token}`), ...more,
  });
  const begin = (of: Flow = flow(), { code = "c1", mode = "continue" as RunMode, ...more }: { code?: string; mode?: RunMode } & Partial<RunEnvironment> = {}) => FlowRun.begin(env(more), planOf(of) as FlowPlan, code, mode);
  const streams = () => [...server.streams.keys()].filter((name) => name.startsWith("mr_")).sort();
  return { server, broker, begin, streams, removed, env };
}

test("a new run makes the streams of its actors and those that all runs share, then is running", async () => {
  const { begin, streams, broker } = world(), run = await begin(), { token } = run.record;
  assert.equal(streams(), [
    `mr_actor_quakes_feed_${token}-1_0_log`,
    ...[0, 1].flatMap((p) => [`mr_actor_quakes_felt_${token}-1_${p}_in_0`, `mr_actor_quakes_felt_${token}-1_${p}_log`]),
    `mr_actor_quakes_report_${token}-1_0_in_0`, `mr_actor_quakes_report_${token}-1_0_log`, "mr_dead_quakes", "mr_story_quakes",
  ]);
  const kept = await readRun(broker.keys, "quakes");
  assert.equal(kept?.record, run.record);
  const { state, code, node, inputs, stages } = run.record;
  assert.equal({ state, code, node, inputs, stages }, {
    state: "running", code: "c1", node: "n1", inputs: [{ stage: "feed", fingerprint: "f1" }],
    stages: [{ name: "feed", generation: `${token}-1`, parallelism: 1 }, { name: "felt", generation: `${token}-1`, parallelism: 2 }, { name: "report", generation: `${token}-1`, parallelism: 1 }],
  });
});

test("a mailbox holds one frame more than its stage says; with a broker that syncs late also what only that keeps", async () => {
  for (const [retainMs, limit] of [[0, 101], [2_000, 4_197]] as const) {
    const { begin, server } = world(retainMs), { record: { token } } = await begin();
    assert.is(server.streams.get(`mr_actor_quakes_felt_${token}-1_0_in_0`)?.spec.maxMessages, limit);
    assert.is(server.streams.get(`mr_actor_quakes_felt_${token}-1_0_log`)?.spec.maxMessages, undefined);
  }
});

test("what was interrupted is resumed: same token, same streams, nothing deleted", async () => {
  const { begin, streams, removed } = world(), first = await begin(), there = streams();
  const again = await begin(flow(), { node: "n2" });
  assert.equal([again.resumed, again.record.token, again.record.node, streams()], [true, first.record.token, "n2", there]);
  assert.is(removed.length, 1, "only the first start looked for journals of older runs");
});

test("after a finished run a new one begins, and the streams and journals of the old one go", async () => {
  const { begin, streams, removed } = world(), first = await begin();
  await first.mark("finished");
  const second = await begin(flow(), { code: "c2" });
  assert.not.equal(second.record.token, first.record.token);
  assert.ok(streams().every((name) => !name.includes(first.record.token)));
  assert.is(streams().length, 9);
  assert.is(removed.at(-1), `quakes but ${second.record.token}`);
});

test("the dead letters of earlier runs are kept", async () => {
  const { begin, broker } = world(), first = await begin();
  await broker.stream("mr_dead_quakes", `mr.dead.quakes.felt.${first.record.token}-1.0`).append(new Uint8Array(8));
  await begin(flow(), { mode: "fresh" });
  assert.is((await broker.stream("mr_dead_quakes", "mr.dead.quakes.>").bounds()).last, 1);
});

test("another flow whose name begins the same keeps its streams", async () => {
  const { begin, broker, streams } = world();
  await broker.create({ name: "mr_actor_quakes-more_feed_aaaaaaaa-1_0_log", subject: "mr.actor.quakes-more.feed.aaaaaaaa-1.0.log", replicas: 1 });
  await begin();
  await begin(flow(), { mode: "fresh" });
  assert.ok(streams().includes("mr_actor_quakes-more_feed_aaaaaaaa-1_0_log"));
});

for (const [what, change, words] of [
  ["code", [flow(), "c2"], /the code of the flow is another/],
  ["parallelism", [flow({ parallelism: 3 }), "c1"], /stage felt: parallelism 2 -> 3/],
  ["input", [flow({ input: "f2" }), "c1"], /source feed: what it reads/],
] as const) {
  test(`an interrupted run whose ${what} changed is refused, and left as it was`, async () => {
    const { begin, streams } = world(), first = await begin(), there = streams();
    const error = await rejection(begin(change[0], { code: change[1] }));
    assert.is(error.code, "RUN_CHANGED");
    assert.match(error.message, words);
    assert.equal(streams(), there);
    assert.is((await begin()).record.token, first.record.token, "the old code still resumes it");
  });
}

test("resume takes the new code over; fresh begins anew", async () => {
  const { begin } = world(), first = await begin();
  const resumed = await begin(flow(), { code: "c2", mode: "resume" });
  assert.equal([resumed.record.token, resumed.record.code], [first.record.token, "c2"]);
  const fresh = await begin(flow(), { code: "c3", mode: "fresh" });
  assert.not.equal(fresh.record.token, first.record.token);
});

test("another parallelism cannot be resumed, and the refusal says what to do", async () => {
  const { begin } = world();
  await begin();
  const error = await rejection(begin(flow({ parallelism: 3 }), { mode: "resume" }));
  assert.match(error.message, /set its parallelism back to 2/);
  assert.match(error.remedy, /--fresh/);
});

for (const [answer, outcome] of [["resume", "the same run"], ["fresh", "a new run"]] as const) {
  test(`who is asked and says ${answer} gets ${outcome}`, async () => {
    const { begin } = world(), first = await begin();
    const run = await begin(flow(), { code: "c2", ask: () => Promise.resolve(answer) });
    assert.is(run.record.token === first.record.token, answer === "resume");
  });
}

test("who is asked and wants neither is refused", async () => {
  const { begin } = world();
  await begin();
  assert.is((await rejection(begin(flow(), { code: "c2", ask: () => Promise.resolve(undefined) }))).code, "RUN_CHANGED");
});

test("a start that was killed while it prepared is replaced, and what it had made goes", async () => {
  const { begin, broker, streams, env } = world();
  let hold = true;
  const dying = rejection(FlowRun.begin(env({ removeOldJournals: () => { hold = false; throw new MillraceError("KILLED", "here", "no", "None."); } }), planOf(flow()) as FlowPlan, "c1", "continue"));
  assert.is((await dying).code, "KILLED");
  assert.equal([hold, (await readRun(broker.keys, "quakes"))?.record.state], [false, "preparing"]);
  const run = await begin();
  assert.equal([run.resumed, run.record.state], [false, "running"]);
  assert.ok(streams().every((name) => !name.startsWith("mr_actor") || name.includes(run.record.token)));
});

test("who stood still while it prepared a run, and goes on when another has begun a newer one, deletes nothing of that", async () => {
  const { begin, broker, server, env, streams } = world(), notes = new RunNotes(new MemoryStores()), write = notes.write.bind(notes);
  await begin();
  let goOn = (): void => {}, stands = (): void => {};
  const standing = new Promise<void>((resolve) => { stands = resolve; });
  notes.write = async (...of) => {
    stands();
    await new Promise<void>((resolve) => { goOn = resolve; });
    await write(...of);
  };
  const late = rejection(FlowRun.begin(env({ notes }), planOf(flow()) as FlowPlan, "c1", "fresh"));
  await standing;
  const { record: { token } } = await begin(flow(), { mode: "fresh", broker: new MemoryBroker(server) }), its = streams().filter((name) => name.includes(token));
  goOn();
  assert.is((await late).code, "FLOW_TAKEN");
  assert.equal(streams().filter((name) => name.includes(token)), its);
  assert.is((await readRun(broker.keys, "quakes"))?.record.token, token);
});

test("a flow of which no key tells and whose actors have streams had a run: it is not begun anew but by choice", async () => {
  const { begin, server, streams } = world();
  await begin();
  const before = streams();
  server.rollback("KV_millrace", 0);
  // A node that knows nothing of it.
  assert.is((await rejection(begin(flow(), { notes: new RunNotes(new MemoryStores()) }))).code, "BROKER_WENT_BACK");
  assert.equal(streams(), before);
  const { record } = await begin(flow(), { notes: new RunNotes(new MemoryStores()), mode: "fresh" });
  assert.ok(streams().every((name) => !name.startsWith("mr_actor") || name.includes(record.token)));
});

test("a run as its key had it can be marked, and nothing on this node is touched: by now there may be a newer one", async () => {
  const { begin, broker, removed, env } = world();
  await begin();
  removed.splice(0);
  const kept = await readRun(broker.keys, "quakes");
  assert.ok(kept);
  await FlowRun.of(env(), "quakes", kept).mark("stopped");
  assert.equal([removed, (await readRun(broker.keys, "quakes"))?.record.state], [[], "stopped"]);
  assert.is((await rejection(FlowRun.of(env(), "quakes", kept).mark("finished"))).code, "FLOW_TAKEN");
});

test("what a node has noted of a run is not written over by a key that went back behind it: it takes no part in that, and the note is there for a repair (P30, P31)", async () => {
  const { begin, broker, env, removed } = world(), notes = new RunNotes(new MemoryStores()), run = await begin(flow(), { notes }), first = await readRun(broker.keys, "quakes");
  assert.ok(first);
  const scaled = await run.change((record) => ({ ...record, stages: record.stages.map((stage) => (stage.name === "felt" ? { ...stage, generation: `${record.token}-2`, parallelism: 3 } : stage)) }));
  removed.splice(0);
  assert.is((await rejection(FlowRun.attach(env({ notes }), "quakes", first))).code, "BROKER_WENT_BACK");
  // Later writes give it a higher revision, and no newer generation.
  const later = { record: first.record, revision: run.revision + 5 };
  assert.is((await rejection(FlowRun.attach(env({ notes }), "quakes", later))).code, "BROKER_WENT_BACK");
  assert.equal([(await notes.read("quakes"))?.record, removed], [scaled, []]);
  await writeRun(broker.keys, "quakes", first.record, run.revision);
  assert.is((await rejection(run.refresh())).code, "BROKER_WENT_BACK");
  // A run before it, that is not told to have ended.
  assert.is((await rejection(FlowRun.attach(env({ notes }), "quakes", { record: { ...first.record, token: "before00", startedAt: first.record.startedAt - 1 }, revision: 1 }))).code, "BROKER_WENT_BACK");
  // As a repair leaves it, and a run that began after it, whatever their revisions.
  assert.equal((await FlowRun.attach(env({ notes }), "quakes", { record: scaled, revision: 1 })).record, scaled);
  await FlowRun.attach(env({ notes }), "quakes", { record: { ...first.record, token: "after000", startedAt: first.record.startedAt + 1 }, revision: 1 });
});

test("a flow that another node runs is left to it", async () => {
  const { begin, broker } = world();
  await begin();
  const stop = broker.serve("mr.inspect.n1", () => Promise.resolve(Buffer.from('{"answer":{}}')));
  assert.is((await rejection(begin(flow(), { node: "n2", mode: "fresh" }))).code, "FLOW_RUNNING");
  stop();
  assert.ok((await begin(flow(), { node: "n2" })).resumed, "once that node is gone it can be had");
});

test("of two that start at the same time one has it", async () => {
  const { begin, env } = world();
  await begin();
  const slow = env({ node: "n2", ask: undefined });
  const outcomes = await Promise.allSettled([begin(flow(), { node: "n3" }), FlowRun.begin(slow, planOf(flow()) as FlowPlan, "c1", "continue")]);
  assert.is(outcomes.filter(({ status }) => status === "fulfilled").length, 1);
  const [lost] = outcomes.flatMap((outcome) => (outcome.status === "rejected" ? [outcome.reason as MillraceError] : []));
  assert.is(lost?.code, "FLOW_TAKEN");
});

test("who lost the flow to another node cannot mark it, and sees that it is not his", async () => {
  const { begin, broker } = world(), run = await begin(), kept = await readRun(broker.keys, "quakes");
  const [, held] = await Promise.all([run.mark("running"), run.isHeld()]);
  assert.is(held, true, "its own writes are its own");
  await writeRun(broker.keys, "quakes", { ...run.record, node: "n2" }, kept?.revision as number);
  assert.is(await run.isHeld(), true, "a write that expected something else changed nothing");
  await writeRun(broker.keys, "quakes", { ...run.record, node: "n2" }, (await readRun(broker.keys, "quakes"))?.revision as number);
  assert.is(await run.isHeld(), false);
  assert.is((await rejection(run.mark("finished"))).code, "FLOW_TAKEN");
});

test("a resumed run of which the broker lost a stream is refused: made anew it would be empty", async () => {
  const { begin, server } = world(), { record: { token } } = await begin();
  server.remove(`mr_actor_quakes_felt_${token}-1_1_log`);
  const error = await rejection(begin());
  assert.is(error.code, "BROKER_WENT_BACK");
  assert.match(error.message, /felt/);
});

test("a broker that knows no run of the flow, or an older one, is not followed: the journals here are of a newer", async () => {
  const { begin, removed } = world(), { record: { token } } = await begin();
  for (const earlier of [new MemoryBroker(new MemoryServer()), await (async () => {
    const broker = new MemoryBroker(new MemoryServer());
    await begin(flow(), { broker, notes: new RunNotes(new MemoryStores()) });
    return broker;
  })()]) {
    const deleted = removed.length, error = await rejection(begin(flow(), { broker: earlier }));
    assert.is(error.code, "BROKER_WENT_BACK");
    assert.match(error.message, new RegExp(`of run ${token} of flow "quakes", which has not finished`));
    assert.is(removed.length, deleted, "nothing is deleted");
  }
  assert.not.ok((await begin(flow(), { broker: new MemoryBroker(new MemoryServer()), mode: "fresh" })).resumed, "unless it is wanted");
});

test("of a finished run the broker may forget: a new one begins", async () => {
  const { begin } = world();
  await (await begin()).mark("finished");
  assert.not.ok((await begin(flow(), { broker: new MemoryBroker(new MemoryServer()) })).resumed);
});

test("what another node has done with the flow since is no loss", async () => {
  const { begin } = world();
  await begin();
  const elsewhere = await begin(flow(), { mode: "fresh", node: "n2", notes: new RunNotes(new MemoryStores()) });
  assert.is((await begin()).record.token, elsewhere.record.token);
});

test("a source whose input is not there refuses the start in its own words", async () => {
  const { begin, streams } = world();
  const error = await rejection(begin(flow({ input: new MillraceError("FILE_MISSING", "a.jsonl", "no such file", "Give it.") })));
  assert.equal([error.code, streams()], ["FILE_MISSING", []]);
  assert.is((await rejection(begin(flow({ input: new Error("EIO") })))).code, "INPUT_UNREADABLE");
});

for (const [what, value, code] of [
  ["written by a newer version", '{"version":2,"token":"x"}', "RUN_NEWER"], ["no JSON", "hello", "RUN_UNREADABLE"], ["of another form", '{"version":1}', "RUN_UNREADABLE"], ["null", "null", "RUN_UNREADABLE"],
] as const) {
  test(`a key that is ${what} is refused, not overwritten`, async () => {
    const { begin, broker } = world();
    await broker.keys.set("flow.quakes", Buffer.from(value), 0);
    assert.is((await rejection(begin())).code, code);
    assert.is(Buffer.from((await broker.keys.get("flow.quakes"))?.value ?? "").toString(), value);
  });
}

test.run();
