// test deadline: 300 s
// A power loss under a flow that runs on two nodes, each a process of its own, on a real nats-server with lazy fsync: its store is an older
// copy. All park and say so, doctor tells, and `repair`, given anywhere, brings back what the journals of all nodes hold while they run (P31).
import { cp, rm } from "node:fs/promises";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { askAll } from "../../runtime/inspect/inquiry.ts";
import type { RepairReport } from "../../runtime/repair/report.ts";
import type { CliProcess } from "../support/cli-process.ts";
import { startNatsServer, type TestServer } from "../support/nats-server.ts";
import { eventually } from "../support/waiting.ts";
import { finished, inWorld, linesIn, numbers, type Program, type World } from "./cluster-world.ts";

const test = suite("a power loss under several nodes");
const nodes = ["n1", "n2"] as const;
const program: Program = { ...numbers, env: (out) => ({ ...numbers.env(out), NUMBERS: "24000", NUMBERS_RATE: "1000" }) };
/** What is lost is younger than twice that (P32), on a busy machine, too. */
const sync = ["--broker-sync", "20s"], parkedMs = 60_000;

/** The nodes run; the server loses what it had acknowledged for some hundred events, and nothing else. */
async function lose(world: World, server: TestServer): Promise<void> {
  for (const name of nodes) world.start(name, ["--nodes", "2", ...sync]);
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

async function inLoss(of: (world: World) => Promise<void>): Promise<void> {
  await using server = await startNatsServer({ fsync: "relaxed" });
  await inWorld(() => Promise.resolve(server), program, async (world) => {
    await lose(world, server);
    await of(world);
  });
}

test("all park and say so, doctor tells what is behind what, a repair from anywhere brings it back while the nodes run, and the result is the same to the byte", () => inLoss(async (world) => {
  const codes = await eventually("the actors park", async () => {
    const its = await parked(world);
    return its.size >= 4 && its;
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

test("one node and its disk are gone: the repair waits for it, says exactly what is gone where it is given up, and nothing is wrong in silence", () => inLoss(async (world) => {
  await eventually("the actors park", async () => (await parked(world)).size >= 4, parkedMs);
  const placed = (await world.placement("n1")).actors, away = placed.get("numbers/feed/0") as string, lost = [...placed].filter(([, node]) => node === away).map(([actor]) => actor);
  const node = world.nodes.get(away) as CliProcess;
  node.child.kill("SIGKILL");
  await node.ended;
  await rm(join(world.folder, away), { recursive: true });
  const first = await repaired(world);
  assert.equal(first.report.away, [away], first.said);
  assert.match(first.said, new RegExp(`node ${away} was not asked`));
  assert.is(first.code, first.report.lost.length > 0 ? 1 : 0);
  const { report } = await repaired(world, "--without", away);
  assert.equal(report.away, []);
  // What was lost may be nothing that only that node had.
  if (first.report.lost.length + report.lost.length === 0) return await finished(world, nodes.filter((one) => one !== away));
  assert.ok(report.lost.some((line) => lost.some((actor) => line.includes(actor))), JSON.stringify(report));
  const told = report.unseen.map((line) => line.slice(0, line.indexOf(":")));
  // Where another node has taken them over meanwhile, that one's journal is the newest owner's.
  assert.ok(told.every((actor) => lost.includes(actor)), `${told.join()} of ${lost.join()}`);
  if (report.lost.some((line) => line.includes("numbers/feed/0"))) assert.ok(report.told.some((line) => line.includes("numbers/feed/0")), JSON.stringify(report));
}));

test.run();
