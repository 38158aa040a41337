// test deadline: 300 s
// A power loss under a flow that runs on two nodes, each a process of its own, on a real nats-server with lazy fsync: its store is an older
// copy. All park and say so, doctor tells, and `repair`, given anywhere, brings back what the journals of all nodes hold while they run (P31).
import { cp, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { streamName, subjectsOf } from "../../runtime/actor/environment.ts";
import { askAll } from "../../runtime/inspect/inquiry.ts";
import { Assembler, decodeRecord } from "../../runtime/journal/record.ts";
import { readRun } from "../../runtime/node/run-record.ts";
import type { RepairReport } from "../../runtime/repair/report.ts";
import type { CliProcess } from "../support/cli-process.ts";
import { linesIn } from "../support/line-count.ts";
import { startNatsServer, type TestServer } from "../support/nats-server.ts";
import { squared } from "../support/squared.ts";
import { eventually } from "../support/waiting.ts";
import { finished, inWorld, numbers, type Program, type World } from "./cluster-world.ts";

const test = suite("a power loss under several nodes");
const nodes = ["n1", "n2"] as const;
const program: Program = { ...numbers, env: (out) => ({ ...numbers.env(out), NUMBERS: "24000", NUMBERS_RATE: "1000" }) };
/** What is lost is younger than twice that (P32), on a busy machine, too. */
const sync = ["--broker-sync", "20s"], parkedMs = 60_000;

/** The nodes run; the server loses what it had acknowledged for some hundred events, and nothing else. */
async function lose(world: World, server: TestServer, more: Readonly<Record<string, readonly string[]>>): Promise<void> {
  for (const name of nodes) world.start(name, ["--nodes", "2", ...sync, ...(more[name] ?? [])]);
  await world.underWay(nodes);
  await eventually("snapshots are not all that there is", async () => (await linesIn(world.out)) > 1_500, 60_000);
  const store = join(server.folder, "nats", "store"), old = join(world.folder, "old-store");
  await server.pause();
  await cp(store, old, { recursive: true });
  const before = await linesIn(world.out);
  server.resume();
  await eventually("it goes on", async () => (await linesIn(world.out)) > before + 400, 60_000);
  await server.kill();
  await rm(store, { recursive: true });
  await cp(old, store, { recursive: true });
  await server.restart();
}

async function parked(world: World): Promise<ReadonlyMap<string, string>> {
  const found = new Map<string, string>();
  for (const { report } of await askAll(world.broker)) for (const { id, kind, state, why } of report?.lines ?? []) if (kind === "actor" && state === "parked") found.set(id, why?.code ?? "");
  return found;
}

async function repaired(world: World, ...args: readonly string[]): Promise<{ readonly code: number; readonly report: RepairReport; readonly said: string }> {
  const { code, stdout, stderr } = await world.commanded("repair", "numbers", "--data-dir", join(world.folder, "elsewhere"), "--json", ...args);
  assert.match(stdout, /^\{/, stderr);
  return { code, report: JSON.parse(stdout) as RepairReport, said: stderr };
}

async function inLoss(of: (world: World) => Promise<void>, more: Readonly<Record<string, readonly string[]>> = {}): Promise<void> {
  await using server = await startNatsServer({ fsync: "relaxed" });
  await inWorld(() => Promise.resolve(server), program, async (world) => {
    await lose(world, server, more);
    await of(world);
  });
}

test("all park and say so, doctor tells what is behind what, a repair from anywhere brings it back while the nodes run, and the result is the same to the byte", () => inLoss(async (world) => {
  const codes = await eventually("the actors park", async () => {
    const its = await parked(world);
    return its.size === 5 && its;
  }, parkedMs);
  for (const [actor, code] of codes) assert.ok(["BROKER_WENT_BACK", "HISTORY_FORKED"].includes(code), `${actor}: ${code}`);
  const doctor = await world.commanded("doctor", "--data-dir", join(world.folder, "elsewhere"), "--json"), losses = (JSON.parse(doctor.stdout) as { findings: { about: string; says: string; remedy: string }[] }).findings.filter(({ about }) => about === "loss");
  assert.is(doctor.code, 1, doctor.stdout);
  assert.ok(losses.some(({ says, remedy }) => /^numbers\/\w+\/\d, parked on n\d: .*(ends at \d+, its journal at \d+|does not hold|holds another)/.test(says) && remedy.includes("millrace repair numbers")), doctor.stdout);

  const { code, report, said } = await repaired(world);
  assert.equal([code, report.status, report.away, report.unseen, report.lost], [0, "repaired", [], [], []], said + JSON.stringify(report.behind));
  assert.match(said, /numbers: held on n1, n2 while it is repaired/);
  const from = new Set(report.actors.flatMap(({ records }) => (records === undefined ? [] : [records.node])));
  assert.ok(from.size === 2 && [...from].every((node) => (nodes as readonly string[]).includes(node)), [...from].join());
  await finished(world, nodes);
}));

/** By channel, as the logs on the server tell by themselves: how far it was sent, and how far its reader has read. */
async function channels(world: World): Promise<ReadonlyMap<string, { readonly sent: number; readonly read: number }>> {
  const found = new Map<string, { sent: number; read: number }>(), { record } = (await readRun(world.broker.keys, "numbers")) ?? {};
  const note = (from: string, to: string, { sent = 0, read = 0 }): void => {
    const its = found.get(`${from} ${to}`) ?? { sent: 0, read: 0 };
    found.set(`${from} ${to}`, { sent: Math.max(its.sent, sent), read: Math.max(its.read, read) });
  };
  for (const { name, generation, parallelism } of record?.stages ?? []) for (let p = 0; p < parallelism; p++) {
    const actor = `numbers/${name}/${p}`, { log } = subjectsOf("numbers", name, generation, p), stream = world.broker.stream(streamName(log), log), { first, last } = await stream.bounds(), assembler = new Assembler();
    for await (const { data } of stream.read(first, last)) {
      const { out = [], settled = [], cursors = [] } = assembler.take(decodeRecord(data))?.body ?? {};
      for (const [target, sent] of [...out, ...settled]) if (typeof target !== "string") note(actor, `numbers/${target[0]}/${target[2]}`, { sent });
      for (const [, from, , read] of cursors) note(from, actor, { read });
    }
  }
  return found;
}

// There is room for no actor more: none goes on elsewhere before a third node comes.
test("one node and its disk are gone: the repair waits for it, says exactly what is gone where it is given up, and nothing is wrong in silence", () => inLoss(async (world) => {
  await eventually("the actors park", async () => (await parked(world)).size === 5, parkedMs);
  const placed = (await world.placement("n1")).actors, away = placed.get("numbers/feed/0") as string, its = [...placed].filter(([, node]) => node === away).map(([actor]) => actor), [there] = nodes.filter((name) => name !== away) as [string];
  const node = world.nodes.get(away) as CliProcess;
  node.child.kill("SIGKILL");
  await node.ended;
  await rm(join(world.folder, away), { recursive: true });

  const first = await repaired(world);
  assert.match(first.said, new RegExp(`node ${away} was not asked`));
  assert.equal([first.code, first.report.status, first.report.away], [1, "waits", [away]], JSON.stringify(first.report));
  const of = (line: string): string => line.slice(0, line.indexOf(":")), says = ({ lost }: RepairReport): readonly string[] => lost.map((line) => line.slice(0, line.lastIndexOf(": it lost records that no journal has"))).sort();
  assert.equal(first.report.unseen.map(of).sort(), its.sort());
  // What those on the other node have read is in no log of who sent it, and was in no other journal.
  const lost = [...await channels(world)].flatMap(([channel, { sent, read }]) => {
    const [from, to] = channel.split(" ") as [string, string];
    return read > sent ? [`${from}: ${to} has ${read === sent + 1 ? `frame ${read}` : `frames ${sent + 1} to ${read}`} of it, read or in its mailbox, of which its log knows nothing`] : [];
  }).sort();
  assert.equal(says(first.report), lost);
  assert.ok(lost.some((line) => line.startsWith("numbers/feed/0: numbers/squares/")) && lost.every((line) => its.includes(of(line))), lost.join("\n"));

  const given = await repaired(world, "--without", away);
  assert.equal([given.code, given.report.status, given.report.away, says(given.report)], [1, "partly", [], lost], JSON.stringify(given.report));
  assert.ok(given.report.told.some((line) => line.startsWith("source numbers/feed/0 had given out events")), given.report.told.join("\n"));

  // Who now decides anew what others have read is found out by them; what is written by then is right.
  world.start("n3", sync);
  await world.hurry();
  const found = await eventually("a reader parks", async () => { const seen = await parked(world); return seen.size > 0 && seen; }, parkedMs);
  for (const [actor, code] of found) assert.ok(["BROKER_WENT_BACK", "HISTORY_FORKED"].includes(code), `${actor}: ${code}`);
  assert.ok((world.nodes.get(there) as CliProcess).child.exitCode === null, "a node that is there does not end of it");
  const text = await readFile(world.out, "utf8"), whole = text.slice(0, text.lastIndexOf("\n") + 1);
  assert.ok(whole.length > 10_000 && squared(24_000).startsWith(whole), "what is written is right as far as it goes");
}, { n1: ["--capacity", "3"], n2: ["--capacity", "2"] }));

test.run();
