// One schedule: a world drawn from a seed, run to its end with its faults, judged.
import { frameReserve, silence, turnLimit, unsettledLimit } from "../../runtime/actor/limits.ts";
import { sendWindow } from "../../runtime/actor/delivery.ts";
import { snapshotEvery, snapshotSize } from "../../runtime/actor/snapshot.ts";
import { streamName, subjectsOf } from "../../runtime/actor/environment.ts";
import { batchLimit } from "../../runtime/actor/sink-writer.ts";
import { encodeFrame, message } from "../../runtime/event/frame.ts";
import type { FlowPlan, SinkPlan, StagePlan } from "../../runtime/flow/plan.ts";
import { Chance } from "./chance.ts";
import { current } from "./feed.ts";
import { flows, type SimulatedFlow } from "./flows.ts";
import { letterFlows } from "./letter-flows.ts";
import { Operator } from "./letters.ts";
import { type Fault, type Profile, profileOf } from "./profile.ts";
import { allRules, type Rules } from "./rules.ts";
import { Scheduler, settling } from "./scheduler.ts";
import { fileTarget, numberedTarget } from "./target.ts";
import { logsWrong, outcomeWrong } from "./verifier.ts";
import { World } from "./world.ts";

export interface Result {
  readonly seed: number;
  readonly flow: string;
  readonly steps: number;
  /** Ended with everything done, or parked after a loss. */
  readonly end: "done" | "parked" | "failed";
  readonly wrong: string | undefined;
}

export interface ScheduleOptions {
  /** Flows to choose from, by name. */
  readonly flows?: readonly string[] | undefined;
  /** Where a flow that gives dead letters is drawn, one of those that have them taken back may run instead. */
  readonly takenBack?: boolean | undefined;
  readonly profile?: Partial<Profile> | undefined;
  readonly rules?: Partial<Rules> | undefined;
  readonly trace?: ((line: string) => void) | undefined;
  /** Whether only what came out is judged, not what stands in logs and journals. */
  readonly outcomeOnly?: boolean | undefined;
  /** Called when the world has come to its end, before it is judged. */
  readonly ended?: (() => void) | undefined;
}

/** More steps than this, once nothing goes wrong any more, are a standstill. */
const mostSteps = 20_000;
/** Faults come within so many steps; then all is well. */
const faultSteps = 1_200;

/** Runs the schedule of a seed. The engine's limits are set for it: one at a time in a process. */
export async function runSchedule(seed: number, options: ScheduleOptions = {}): Promise<Result> {
  const chance = new Chance(seed);
  // Chance of its own: whoever takes no letter back does what he did before there was anybody who does.
  const flow = flowOf(chance, new Chance(seed ^ 0x1e77e5), options), orders = flow.takenBack === undefined ? {} : { orders: chance.between(1, 6) };
  const profile = profileOf(chance, flow.letters ? 700 : 330, { ...orders, ...options.profile }), scheduler = new Scheduler(chance);
  scheduler.slowShare = profile.slowShare;
  scheduler.hurry = profile.hurry;
  scheduler.trace = options.trace;
  const rules = { ...allRules, ...options.rules };
  setLimits(profile, rules);
  // Stacks take time, and room in dead letters.
  Error.stackTraceLimit = options.trace === undefined ? 0 : 10;
  const world = new World(scheduler, profile, planFor(flow, profile, chance), flow.feed(chance, profile.events), rules, profile.scales === 0 ? [] : scalableOf(flow));
  current.host = world;
  if (flow.takenBack !== undefined) world.operator = new Operator(world, profile.orders, flow.takenBack === "in order");
  options.trace?.(JSON.stringify({ flow: flow.name, profile, feed: world.feed }));
  const of = (end: Result["end"], wrong: string | undefined): Result => ({ seed, flow: flow.name, steps: scheduler.steps, end, wrong });
  const stood = await settling(run(world));
  options.ended?.();
  const whole = world.done;
  const wrong = world.failure ?? ((whole || !world.sinkLost) && !world.targets.toldLost ? outcomeWrong(world, flow, whole) : undefined) ?? stood ?? (whole && options.outcomeOnly !== true ? await logsWrong(world) : undefined);
  world.close();
  return of(wrong !== undefined ? "failed" : whole ? "done" : "parked", wrong);
}

function flowOf(chance: Chance, own: Chance, { flows: names, takenBack }: ScheduleOptions): SimulatedFlow {
  const flow = chance.of(names === undefined ? flows : [...flows, ...letterFlows].filter(({ name }) => names.includes(name)));
  return takenBack === true && flow.letters === true && flow.takenBack === undefined && own.hits(0.5) ? own.of(letterFlows) : flow;
}

function scalableOf({ plan, divisible }: SimulatedFlow): readonly string[] {
  return plan.stages.filter(({ name }) => divisible.includes(name)).map(({ name }) => name);
}

function setLimits(p: Profile, { askSender }: Rules): void {
  silence.ms = askSender ? 60_000 : Infinity;
  turnLimit.events = p.turnEvents;
  unsettledLimit.frames = p.unsettledFrames;
  frameReserve.bytes = p.maxPayload - p.frameBytes;
  sendWindow.frames = p.sendWindow;
  batchLimit.events = p.sinkBatch;
  snapshotEvery.records = p.snapshotRecords;
  snapshotSize.inlineBytes = p.inlineBytes;
  snapshotSize.chunkBytes = p.chunkBytes;
}

function planFor(flow: SimulatedFlow, profile: Profile, chance: Chance): FlowPlan {
  const sink = (profile.target === "file" ? fileTarget : numberedTarget)(() => (current.host as World).targets) as SinkPlan["sink"];
  return {
    ...flow.plan,
    stages: flow.plan.stages.map((stage): StagePlan => {
      const parallelism = profile.parallelism > 0 && flow.divisible.includes(stage.name) ? profile.parallelism : stage.parallelism;
      if (stage.kind === "source") return { ...stage, parallelism };
      const maxFrames = chance.hits(0.7) ? profile.maxFrames : 4_096;
      return stage.kind === "sink" ? { ...stage, parallelism, maxFrames, sink } : { ...stage, parallelism, maxFrames };
    }),
  };
}

/** The execution; what it yields lets promises settle. Gives what stands still at the end. */
function* run(world: World): Generator<void, string | undefined> {
  const { scheduler, profile } = world, { chance, clock } = scheduler;
  let faults = profile.faults, quietSince: number | undefined;
  yield;
  while (world.failure === undefined && !world.done) {
    const over = scheduler.steps >= faultSteps || faults === 0;
    if (!over && scheduler.steps >= profile.faultsFrom && profile.ambush.test(scheduler.last) && chance.hits(profile.faultShare)) { if (inject(world, profile.script[profile.faults - faults] ?? chance.of(profile.kinds)) !== false) faults--; }
    else if (!scheduler.step()) {
      if (quietSince !== undefined) return world.lost && world.parked.length > 0 ? undefined : standstill(world, "nothing happens any more");
      faults = 0;
    }
    if (quietSince === undefined && (over || faults === 0) && (scheduler.steps >= faultSteps || !scheduler.busy)) { heal(world); quietSince = clock.monotonic(); }
    yield;
    if (scheduler.steps > mostSteps || (quietSince !== undefined && clock.monotonic() - quietSince > 600_000)) {
      return world.lost && world.parked.length > 0 ? undefined : standstill(world, "it goes on without an end");
    }
    if (quietSince !== undefined && world.parked.length > 0 && clock.monotonic() - quietSince > 20_000) return undefined;
  }
  // Zombies that are left do what they still want to; it must change nothing.
  heal(world);
  for (let i = 0; i < 2_000 && world.failure === undefined && scheduler.step(); i++) yield;
  return undefined;
}

function standstill(world: World, how: string): string {
  const waits = world.slots.filter(({ done }) => !done).map(({ address, parked, lives }) => `${address} (${parked !== undefined ? "parked" : lives.size === 0 ? "does not run" : [...lives].map(({ node, actor }) => `on ${node.name}, took ${actor.counts.in}, gave ${actor.counts.out}`).join(", ")})`);
  return `standstill, ${how}: ${waits.join("; ")}`;
}

/** False: it could not hit now. */
function inject(world: World, fault: Fault): boolean | void {
  const { scheduler, profile: { aim } } = world, { chance } = scheduler, all = world.slots.flatMap((slot) => [...slot.lives]);
  const aimed = all.filter(({ slot }) => aim === "any" || slot.stage.kind === aim), lives = aimed.length > 0 ? aimed : all;
  const life = lives.length > 0 ? chance.of(lives) : undefined, node = (aim === "any" ? undefined : life?.node) ?? chance.of(world.alive.length > 0 ? world.alive : [world.boot("a")]);
  const later = (ms: number, name: string, step: () => void) => soon(world, ms, name, step);
  scheduler.trace?.(`!! ${fault} ${fault === "crash" || fault === "takeover" || fault === "move" ? `${life?.slot.address} on ${life?.node.name}` : node.name}`);
  switch (fault) {
    case "crash": return life?.actor.exit({ class: "crash", error: new Error("ended by the schedule") });
    case "kill": case "wipe":
      world.kill(node);
      if (fault === "wipe") world.disks.delete(node.name);
      later(3_000, `boot ${node.name}`, () => { if (world.nodes.get(node.name)?.dead === true) world.boot(node.name); });
      return;
    case "cut":
      node.cut();
      later(3_000, `mend ${node.name}`, () => { if (!node.dead && !node.connected) node.mend(); });
      return;
    case "pause":
      node.pause();
      for (const other of all) if (other.node === node && chance.hits(0.6)) world.startSoon(other.slot, chance.between(1, 200), chance.of([...world.nodes.keys()].filter((name) => name !== node.name)));
      later(5_000, `resume ${node.name}`, () => { if (!node.dead) node.resume(); });
      return;
    case "takeover":
      if (life !== undefined) world.startSoon(life.slot, 0, chance.of([...world.nodes.keys()].filter((name) => name !== life.node.name)));
      return;
    case "move":
      if (life !== undefined) { life.slot.home = chance.of([...world.nodes.keys()]); void life.actor.stop(); }
      return;
    case "rollback": return rollback(world);
    case "blackout": return blackout(world);
    case "ruin": return ruin(world);
    case "restore": return restore(world);
    case "old generation": return fromOldGeneration(world);
    case "late copy": {
      const [stream, subject, data] = world.stored.length > 0 ? chance.of(world.stored) : [];
      if (stream === undefined || subject === undefined || data === undefined) return false;
      return void world.server.streams.get(stream)?.append(subject, data, undefined);
    }
    case "revive": {
      const sealed = world.slots.filter((slot) => slot.sealed && slot.lives.size === 0), slot = sealed.length > 0 ? chance.of(sealed) : undefined;
      if (slot === undefined) return false;
      slot.done = false;
      return world.startSoon(slot, 0);
    }
  }
}

/** After a while, on the clock or in steps: while there is something to do no time passes. */
function soon({ scheduler }: World, ms: number, name: string, step: () => void): void {
  const { chance } = scheduler;
  if (chance.hits(0.5)) scheduler.after(chance.between(1, ms), name, undefined, step);
  else scheduler.afterSteps(chance.between(5, 150), name, step);
}

/** A power loss with lazy fsync: streams lose their tails, each its own; every connection with them. */
function rollback(world: World): void {
  const { scheduler: { chance }, profile: { rollback: { of, share, most } } } = world;
  powerLoss(world, [...world.server.streams.keys()].filter((name) => of.test(name) && chance.hits(share)), most);
}

/** The same, and the nodes lose their power, too; their disks are whole. */
function blackout(world: World): void {
  for (const node of world.alive) world.kill(node);
  rollback(world);
  bootAll(world);
}

/**
 * A power loss takes the tail of an actor's log, and every journal of it is lost; what others have not read of it may be lost as well.
 * False: nobody is where it is to hit.
 */
function ruin(world: World): boolean {
  const { scheduler: { chance }, profile: { rollback: { most }, aim, ruins }, flow, server } = world;
  const slot = chance.of(world.slots.filter(({ stage }) => aim === "any" || stage.kind === aim)), lost = new Map<string, number>(), last = (name: string) => server.streams.get(name)?.bounds().last ?? 0;
  const log = world.logNameOf(slot), records = world.logOf(slot);
  const readers = world.slots.filter(({ stage }) => slot.stage.readers.some(({ to }) => to === stage.name)).map((reader) => {
    const kept = world.logOf(reader).filter(({ record }) => record.kind !== "snapshot");
    const cursor = kept.findLast(({ record }) => record.body.cursors?.some(([, from]) => from === slot.address))?.record.body.cursors?.find(([, from]) => from === slot.address);
    return { reader, read: world.positionOf(reader), cursor };
  });
  let to = last(log) - chance.between(1, most);
  if (ruins === "begun" || ruins === "kept") {
    const begun = readers.find(({ cursor }) => (cursor?.[5] ?? 0) > 0), holds = begun && records.find(({ record }) => record.body.out?.some(([target, seq]) => target[0] === begun.reader.stage.name && target[2] === begun.reader.partition && seq === (begun.cursor?.[3] ?? 0) + 1));
    if (holds === undefined) return false;
    to = holds.seq - 1;
  }
  if (ruins === "claims") {
    const claims = records.filter(({ record }) => record.kind === "claim"), newest = claims[claims.length - 1];
    if (claims.length < 2 || !readers.some(({ cursor }) => cursor?.[4]?.[0] === newest?.record.term[0])) return false;
    to = (claims[claims.length - 2]?.seq ?? 1) - 1;
  }
  for (const node of world.alive) if ([...slot.lives].some((life) => life.node === node) || chance.hits(0.3)) world.kill(node);
  for (const disk of world.disks.values()) disk.stores.delete(`${flow.name}/${slot.stage.name}/${slot.generation}/${slot.partition}`);
  lost.set(log, to);
  for (const { reader, read } of readers) {
    if (ruins === "claims" || ruins === "kept" || (ruins === "anything" && chance.hits(0.4))) continue;
    const mailbox = streamName(subjectsOf(flow.name, reader.stage.name, reader.generation, reader.partition).mailbox(0));
    lost.set(mailbox, ruins === "anything" ? last(mailbox) - chance.below(most + 1) : read);
    for (const life of reader.lives) if (ruins !== "anything") life.actor.exit({ class: "crash", error: new Error("ended by the schedule") });
  }
  powerLoss(world, [...lost.keys()], (name) => lost.get(name) as number);
  bootAll(world);
  return true;
}

function bootAll(world: World): void {
  const { chance } = world.scheduler;
  for (const name of world.profile.nodes) if (world.nodes.get(name)?.dead === true) world.scheduler.after(chance.between(1, 1_000), `boot ${name}`, undefined, () => { if (world.nodes.get(name)?.dead === true) world.boot(name); });
}

/** A backup is restored: all streams are as they were some steps ago. Nodes lose their disks, or sleep through it and go on as zombies. */
function restore(world: World): void {
  const { scheduler, archive: { stamps } } = world, { chance } = scheduler;
  // Often just after something came that nobody had read.
  const came = [...stamps].filter(([name]) => name.includes("_in_")).flatMap(([, steps]) => [...steps.values()]);
  const since = came.length > 0 && chance.hits(0.5) ? chance.of(came) : scheduler.steps - chance.between(20, 200);
  for (const node of world.alive) {
    if (chance.hits(0.5)) world.kill(node);
    else {
      node.pause();
      const resume = () => { if (!node.dead) node.resume(); };
      if (world.profile.sleep === "any") soon(world, 4_000, `resume ${node.name}`, resume);
      else scheduler.afterLane(/ answer .*\.report\..*\.in\.0$/, `resume ${node.name}`, resume);
    }
    world.disks.delete(node.name);
  }
  powerLoss(world, [...stamps.keys()], (name) => [...(stamps.get(name) as Map<number, number>)].findLast(([, step]) => step <= since)?.[0] ?? 0);
  const fresh = chance.of(world.profile.nodes.filter((name) => world.nodes.get(name)?.dead !== false)) ?? `spare-${world.nodes.size}`;
  world.boot(fresh);
  for (const slot of world.slots) world.startSoon(slot, chance.hits(0.5) ? 0 : chance.between(1, 300), fresh);
}

function powerLoss(world: World, streams: readonly string[], most: number | ((name: string) => number)): void {
  const { chance } = world.scheduler;
  for (const node of world.alive) if (node.connected) node.cut();
  for (const lane of world.sent) world.scheduler.clear(lane);
  for (const name of streams) {
    // The streams of a generation that is over are gone.
    const { first, last } = world.server.streams.get(name)?.bounds() ?? { first: 1, last: 0 };
    if (last < first) continue;
    const to = Math.max(first - 1, typeof most === "number" ? last - chance.between(1, most) : most(name));
    if (to >= last) continue;
    world.scheduler.trace?.(`    ${name} goes back from ${last} to ${to}`);
    world.server.rollback(name, to);
    world.lost = true;
    if (name.includes("_report_") && name.endsWith("_log")) world.sinkLost = true;
  }
  for (const stream of world.server.streams.values()) stream.dismiss();
  for (const node of world.alive) world.scheduler.after(chance.between(1, 500), `mend ${node.name}`, undefined, () => { if (!node.dead && !node.connected) node.mend(); });
  // The server is back: whoever has ended, also meanwhile, looks again whether what it sent is still there.
  world.scheduler.after(500, "check those that have ended", undefined, () => {
    for (const slot of world.slots) if (slot.done) { slot.done = false; world.startSoon(slot, 1); }
  });
}

/** A frame of a sender's earlier generation comes late: it is of no channel that the reader has. */
function fromOldGeneration(world: World): void {
  const { chance } = world.scheduler, edges = world.flow.stages.flatMap(({ inputs }) => inputs), { from, to } = chance.of(edges);
  const of = chance.below(world.division(from).count), its = world.division(to), partition = chance.below(its.count), subject = subjectsOf(world.flow.name, to, its.generation, partition).mailbox(0);
  const item = { id: 999, key: "a", time: 1_500, from: "old-0", copy: 0, n: 1, what: "old", start: 0, ids: [] };
  const frame = encodeFrame({
    from: `${world.flow.name}/${from}/${of}`, generation: "sim00000-0", term: [1, chance.bytes(8)], before: null, seq: 1, n: 2, edge: 0, watermark: null, note: null,
    shapes: [Object.keys(item)], types: [], rows: [[0, 1_500, "a", null, 0, ...Object.values(item)]],
  });
  world.server.streams.get(streamName(subject))?.append(subject, message(chance.bytes(8), frame), undefined);
}

/** Nothing goes wrong any more: all nodes run, all are connected. */
function heal(world: World): void {
  world.scheduler.trace?.("-- all is well from here on");
  world.faults.quiet = true;
  world.scheduler.hurry = 0;
  for (const node of world.nodes.values()) {
    if (node.dead) world.boot(node.name);
    else {
      if (node.paused) node.resume();
      if (!node.connected) node.mend();
    }
  }
  for (const slot of world.slots) if (slot.lives.size === 0) world.startSoon(slot, 1);
}
