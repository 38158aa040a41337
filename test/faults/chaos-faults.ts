// What chaos does, drawn by the seed. Each fault begins at a moment, lasts for a while, and leaves everything as it was.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { Api } from "../../runtime/broker/nats/api.ts";
import { Client } from "../../runtime/broker/nats/client.ts";
import type { Random } from "../../runtime/event/clock.ts";
import { moment } from "../support/moment.ts";
import type { TestServer } from "../support/nats-server.ts";
import type { ChaosRun } from "./chaos-run.ts";
import { type ChaosGround, mostLeapS } from "./chaos-world.ts";

export interface Fault<Run> {
  readonly name: string;
  /** What it is done to: one at a time. */
  readonly target: string;
  /** How often, beside the others. */
  readonly weight: number;
  readonly only?: (run: Run) => boolean;
  /** Rejects with what is wrong. */
  readonly run: (run: Run, random: Random) => Promise<void>;
}

/** A run over servers that nodes reach over lines. */
export interface Grounded {
  readonly world: Pick<ChaosGround, "servers" | "places">;
}

export const between = (random: Random, least: number, most: number): number => least + random.next() * (most - least);
export const oneOf = <T>(random: Random, all: readonly T[]): T => all[Math.floor(random.next() * all.length)] as T;

/** All lines, or those to one server. */
const linesOf = ({ world }: Grounded, random: Random) => {
  const places = world.places.filter(({ isCutOff }) => !isCutOff), to = Math.floor(random.next() * (world.servers.length + 1));
  return places.flatMap(({ lines }) => (to === world.servers.length ? lines : lines.slice(to, to + 1)));
};

async function downAndUp(server: TestServer, ms: number): Promise<void> {
  await server.kill();
  await moment(ms);
  await server.restart();
}

export const strace: string | undefined = ["/usr/bin/strace", "/bin/strace", "/usr/local/bin/strace"].find((path) => existsSync(path));

/** Each sync of the process takes so much longer, until it is over; the writes of a file sink (pwrite64) are synced, too. */
async function slowed(pid: number, delayMs: number, ms: number): Promise<void> {
  const tracer = spawn(strace as string, ["-f", "-qq", "-o", "/dev/null", "-p", String(pid), "-e", "trace=fsync,fdatasync,pwrite64", "-e", `inject=fsync,fdatasync,pwrite64:delay_enter=${delayMs * 1_000}`], { stdio: "ignore" });
  const ended = new Promise<void>((done) => { tracer.once("close", () => done()); tracer.once("error", () => done()); });
  await Promise.race([moment(ms), ended]);
  // It lets go of the process.
  tracer.kill("SIGTERM");
  await ended;
}

/** Of servers, the lines to them, and their disks. */
export const groundFaults: readonly Fault<Grounded>[] = [
  { name: "server killed", target: "server", weight: 5, run: ({ world }, random) => downAndUp(oneOf(random, world.servers), between(random, 0, 2_000)) },
  {
    name: "leader killed", target: "server", weight: 8, only: ({ world }) => world.servers.length > 1,
    async run(run, random) { await downAndUp(await leaderOf(run, random), between(random, 0, 3_000)); },
  },
  {
    name: "server stands still", target: "server", weight: 3,
    async run({ world }, random) {
      const server = oneOf(random, world.servers);
      await server.pause();
      await moment(between(random, 50, 4_000));
      server.resume();
    },
  },
  {
    name: "lines cut", target: "net", weight: 4,
    async run(run, random) {
      const lines = linesOf(run, random);
      for (const line of lines) line.cut();
      await moment(between(random, 0, 1_500));
      for (const line of lines) line.mend();
    },
  },
  {
    name: "lines slow", target: "net", weight: 2,
    async run(run, random) {
      const lines = linesOf(run, random), ms = between(random, 2, 120);
      for (const line of lines) line.delayMs = ms;
      await moment(between(random, 300, 3_000));
      for (const line of lines) line.delayMs = 0;
    },
  },
  {
    // What the server says is lost on the way, or what it is told, or both; then the line goes on, or is cut with what was held.
    name: "lines half-open", target: "net", weight: 4,
    async run(run, random) {
      const lines = linesOf(run, random), ways = oneOf(random, [["down"], ["up"], ["up", "down"]] as const), isCut = random.next() < 0.6;
      for (const line of lines) line.hold(...ways);
      await moment(between(random, 200, 4_000));
      for (const line of lines) { if (isCut) line.cut(); line.mend(); }
    },
  },
  { name: "server's disk slow", target: "disk", weight: 2, only: () => strace !== undefined, run: ({ world }, random) => slowed(oneOf(random, world.servers).pid, Math.ceil(between(random, 5, 150)), between(random, 500, 3_000)) },
];

export const faults: readonly Fault<ChaosRun>[] = [
  { name: "node killed", target: "node", weight: 5, run: (run) => run.kill() },
  {
    name: "node killed, taken over", target: "node", weight: 2,
    async run(run) { await run.takeover((old) => { old.process.kill("SIGKILL"); return Promise.resolve(); }); },
  },
  { name: "node stands still", target: "node", weight: 3, run: (run, random) => run.standStill(between(random, 50, 2_500)) },
  {
    // Past every time-out: another one goes on meanwhile.
    name: "zombie", target: "node", weight: 3,
    run: (run, random) => run.takeover(async (old, other) => {
      old.process.kill("SIGSTOP");
      await other();
      await moment(between(random, 100, 3_000));
      old.process.kill("SIGCONT");
      await run.fenced(old);
    }),
  },
  {
    name: "node cut off, taken over", target: "node", weight: 2,
    run: (run, random) => run.takeover(async (old, other) => {
      const isHeld = random.next() < 0.5;
      old.place.isCutOff = true;
      for (const line of old.place.lines) isHeld ? line.hold("up", "down") : line.cut();
      await other();
      await moment(between(random, 100, 3_000));
      for (const line of old.place.lines) { if (isHeld && random.next() < 0.5) line.cut(); line.mend(); }
      old.place.isCutOff = false;
      await run.fenced(old);
    }),
  },
  ...groundFaults,
  { name: "node's disk slow", target: "disk", weight: 2, only: () => strace !== undefined, run: (run, random) => slowed(run.active.process.pid as number, Math.ceil(between(random, 5, 150)), between(random, 500, 3_000)) },
  {
    name: "clock leaps", target: "clock", weight: 8, only: ({ world }) => world.options.leaps !== undefined,
    async run({ world }, random) {
      world.leap(between(random, -mostLeapS, mostLeapS));
      await moment(between(random, 100, 1_000));
    },
  },
];

/** Draws one whose target is free. */
export function drawn<Run>(faults: readonly Fault<Run>[], run: Run, random: Random, busy: ReadonlySet<string>): Fault<Run> | undefined {
  const free = faults.filter(({ target, only }) => !busy.has(target) && (only === undefined || only(run)));
  let at = random.next() * free.reduce((sum, { weight }) => sum + weight, 0);
  return free.find(({ weight }) => (at -= weight) < 0);
}

/** The server that leads the log of an actor. */
async function leaderOf({ world }: Grounded, random: Random): Promise<TestServer> {
  const [server] = world.servers as readonly [TestServer], client = await Client.connect({ servers: world.servers.map(({ servers }) => servers), user: server.user, pass: server.pass });
  try {
    const api = new Api(client), { streams } = await api.call<{ streams: string[] | null }>("STREAM.NAMES", { offset: 0 });
    const log = oneOf(random, (streams ?? []).filter((name) => name.endsWith("_log")));
    const { cluster } = await api.call<{ cluster?: { leader?: string } }>(`STREAM.INFO.${log}`);
    return world.servers[Number(cluster?.leader?.slice(1))] ?? oneOf(random, world.servers);
  } catch {
    // Nobody leads at the moment.
    return oneOf(random, world.servers);
  } finally {
    await client.close();
  }
}
