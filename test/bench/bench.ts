// Millrace beside its baselines, the same events and the same nats-server, in alternation; medians.
import { cpus, loadavg } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { startNatsServer, type TestServer } from "../support/nats-server.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import type { Backlog } from "./backlog.ts";
import type { Latency, Measured, ServerAddress } from "./contender.ts";
import { fsyncMs } from "./fsync.ts";
import { Measurements } from "./measure.ts";
import { median } from "./median.ts";
import { type Figures, jsonOf, tableOf } from "./report.ts";
import type { Started } from "./start.ts";

const usage = `npm run bench -- [options]
  --quick           a short run: for a look, not for a claim
  --rounds N        rounds of the throughput (5)
  --json            the last line is one JSON object
  --profile FOLDER  CPU profiles of the two that log go there, and cost them a tenth
npm run bench -- cluster [--only NAME ...]
                    the figures of several nodes instead`;

if (process.argv[2] === "cluster") {
  await import("./cluster.ts");
  process.exit();
}
const given = options();
const size = given.quick
  ? { rounds: 1, plain: 10_000, batched: 100_000, logged: 200_000, warmUp: 50_000, latencyS: 5, starts: 1, keys: 1_000_000, replayed: 400_000, backlogS: 10 }
  : { rounds: 5, plain: 40_000, batched: 500_000, logged: 1_000_000, warmUp: 200_000, latencyS: 15, starts: 3, keys: 1_000_000, replayed: 400_000, backlogS: 60 };
const rounds = given.rounds === undefined ? size.rounds : Number(given.rounds);
const latencyRate = 1_000, backlogRate = 50_000, deadlineMs = 180_000;

let profiles = 0;

type Name = "plain" | "batched" | "ceiling" | "millrace";
const eventsOf: Readonly<Record<Name, number>> = { plain: size.plain, batched: size.batched, ceiling: size.logged, millrace: size.logged };

await using measurements = await Measurements.open();
await using folder = await temporaryFolder();
const disk = await fsyncMs(folder.path);
await using relaxed = await startNatsServer({ fsync: "relaxed" });
await using always = await startNatsServer({ fsync: "always" });
say(`${cpus().length} CPUs (${cpus()[0]?.model.trim()}), Node ${process.versions.node}, nats-server ${relaxed.version}; fsync of 4 KiB p50 ${disk.p50.toFixed(2)} ms, p99 ${disk.p99.toFixed(2)} ms; load ${loadavg()[0]?.toFixed(1)}`);

if ((loadavg()[0] as number) > cpus().length / 2) say("Something else is at work on this machine: look at the ratios, at CPU for each event, and again when it is quiet.");

const lazy = await throughput(relaxed, "relaxed", ["plain", "batched", "ceiling", "millrace"]);
const synced = await throughput(always, "always", ["ceiling", "millrace"]);
const latency = { relaxed: await latencies(relaxed, "relaxed"), always: await latencies(always, "always") };
say("replay, restart");
const replay = await started(size.replayed), restart = await started(size.keys);
say(`memory, with a source ten times faster than its sink, for ${size.backlogS} s`);
const backlog = await run<Backlog>("backlog", relaxed, "relaxed", backlogRate * size.backlogS, 0, backlogRate);

const figures: Figures = { disk, relaxed: lazy, always: synced, latency, replay, restart, backlog };
console.log(tableOf(figures));
if (given.json) console.log(JSON.stringify(jsonOf(figures)));

function options() {
  try {
    const { values } = parseArgs({ options: { help: { type: "boolean", short: "h" }, json: { type: "boolean" }, quick: { type: "boolean" }, rounds: { type: "string" }, profile: { type: "string" } } });
    if (values.help !== true) return values;
    console.log(usage);
    process.exit(0);
  } catch (error) {
    console.error(`${(error as Error).message}\n\n${usage}`);
    process.exit(2);
  }
}

async function throughput<N extends Name>(server: TestServer, fsync: "relaxed" | "always", names: readonly N[]): Promise<Record<N, { perSecond: number; cpuUs: number; peakRssMb: number }>> {
  const runs = new Map<N, Measured[]>(names.map((name) => [name, []]));
  for (let round = 1; round <= rounds; round++) {
    for (const name of names) {
      const measured = await run<Measured>(name, server, fsync, eventsOf[name], Math.min(size.warmUp, eventsOf[name] / 4), 0);
      runs.get(name)?.push(measured);
      say(`fsync ${fsync}, round ${round}: ${name} ${Math.round((eventsOf[name] * 1000) / measured.ms)} events/s`);
    }
  }
  const entries = [...runs].map(([name, found]) => [name, {
    perSecond: median(found.map(({ ms }) => (eventsOf[name] * 1000) / ms)),
    cpuUs: median(found.map(({ cpuMs }) => (cpuMs * 1000) / eventsOf[name])),
    peakRssMb: Math.max(...found.map(({ peakRssMb }) => peakRssMb)),
  }] as const);
  return Object.fromEntries(entries) as Record<N, { perSecond: number; cpuUs: number; peakRssMb: number }>;
}

/** Of several runs in alternation the medians of p50 and p99. */
async function latencies(server: TestServer, fsync: "relaxed" | "always"): Promise<Figures["latency"]["relaxed"]> {
  const found = { ceiling: [] as Latency[], millrace: [] as Latency[] };
  for (let i = 0; i < size.starts; i++) {
    for (const name of ["ceiling", "millrace"] as const) {
      const { latency: measured } = (await run<Measured>(name, server, fsync, latencyRate * size.latencyS, size.warmUp, latencyRate)) as Required<Measured>;
      found[name].push(measured);
      say(`fsync ${fsync}, latency: ${name} p50 ${measured.p50.toFixed(2)} ms, p99 ${measured.p99.toFixed(2)} ms`);
    }
  }
  const of = (runs: readonly Latency[]) => ({ p50: median(runs.map(({ p50 }) => p50)), p99: median(runs.map(({ p99 }) => p99)) });
  return { ceiling: of(found.ceiling), millrace: of(found.millrace) };
}

function started(keys: number): Promise<Started> {
  return run<Started>("start", relaxed, "relaxed", keys, 0, 0);
}

function run<T>(variant: string, { servers, user, pass }: TestServer, fsync: "relaxed" | "always", events: number, warmUp: number, rate: number): Promise<T> {
  const server: ServerAddress = { servers, user, pass, fsync };
  const profile = given.profile === undefined || variant === "plain" || variant === "batched" ? {} : { profile: join(given.profile, `${variant}-${fsync}-${++profiles}.cpuprofile`) };
  return measurements.run<T>({ variant, warmUp, run: { server, events, rate, folder: folder.path }, ...profile }, deadlineMs);
}

/** Progress goes beside the result. */
function say(line: string): void {
  console.error(line);
}
