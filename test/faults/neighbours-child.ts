// One node with a calm flow, whose latency is measured, and beside it one that is not calm.
import { generate, map, stateful } from "../../actors/index.ts";
import { defineFlow, defineSink, type Emits, type Flow, type SinkActor, startNode } from "../../runtime/index.ts";
import { setHeapPolicy } from "../../runtime/node/heap-policy.ts";
import { moment } from "../support/moment.ts";

export type Neighbour = "none" | "hot" | "full" | "hung";

export interface NeighbourRun {
  readonly neighbour: Neighbour;
  readonly dataDir: string;
  readonly servers: string;
  readonly user: string;
  readonly pass: string;
  /** Of the calm flow, events a second. */
  readonly rate: number;
  readonly warmUpMs: number;
  readonly measuredMs: number;
}

export interface Latencies { readonly events: number; readonly p50: number; readonly p99: number; readonly most: number; readonly beside: number }

interface Made { readonly n: number; readonly key: string; readonly at: number }

// As the command line does.
setHeapPolicy();
const { neighbour, dataDir, servers, user, pass, rate, warmUpMs, measuredMs } = JSON.parse(process.argv[2] as string) as NeighbourRun;
const taken: number[] = [];
let begun = Infinity, beside = 0, madeAt = performance.now();
const isMeasured = (now: number): boolean => now - begun > warmUpMs && now - begun <= warmUpMs + measuredMs;

const watched = (each: (data: Made) => void): SinkActor<Made> => defineSink<Made, never>({ kind: "watched", guarantee: "at-least-once", open: async () => ({ write: async ({ events }) => { for (const { data } of events) each(data); } }) });
const standing = (): SinkActor<Made> => defineSink<Made, never>({ kind: "standing", guarantee: "at-least-once", open: async () => ({ write: () => new Promise<never>(() => {}) }) });
const counted = () => stateful({
  initial: () => 0,
  on(count: number, data: Made, ctx: Emits<Made>) { ctx.emit(data); return count + 1; },
});
const make = (n: number): Made => ({ n, key: `k${n % 100}`, at: performance.now() });

const calm = defineFlow("calm", (flow) => {
  const feed = flow.source("feed", generate<Made>({ rate, make }));
  const counts = flow.processor("counts", feed.keyBy(({ key }) => key), { parallelism: 2 }, counted());
  flow.sink("out", counts, watched(({ at }) => { const now = performance.now(); if (isMeasured(now)) taken.push(now - at); }));
});

function other(): readonly Flow[] {
  if (neighbour === "none") return [];
  return [defineFlow("beside", (flow) => {
    const feed = flow.source("feed", generate<Made>({ make: (n) => { if ((n & 255) === 0) madeAt = performance.now(); return make(n); } }));
    // What does not go on is full soon.
    const mailbox = neighbour === "hot" ? {} : { mailbox: { maxFrames: 8 } };
    const counts = flow.processor("counts", feed.keyBy(({ key }) => key), { ...mailbox, parallelism: 4 }, counted());
    const through = neighbour === "hung" ? flow.processor("hung", counts, mailbox, map((data: Made) => new Promise<Made>(() => void data), { concurrency: 4, timeout: "10m" })) : counts;
    flow.sink("out", through, mailbox, neighbour === "full" ? standing() : watched(() => { if (isMeasured(performance.now())) beside++; }));
  })];
}

const node = await startNode({ dataDir, nats: { servers, user, pass, sync: "always" }, flows: [calm, ...other()] });
// One that does not go on is measured when it stands: until then it fills mailboxes as fast as it can, and is a hot one.
for (let waited = 0; neighbour !== "hot" && neighbour !== "none" && waited < 30 && (waited < 1 || performance.now() - madeAt < 1_000); waited++) await moment(1_000);
begun = performance.now();
await moment(warmUpMs + measuredMs + 200);
taken.sort((a, b) => a - b);
const at = (share: number): number => taken[Math.min(taken.length - 1, Math.floor(taken.length * share))] ?? Number.NaN;
process.stdout.write(JSON.stringify({ events: taken.length, p50: at(0.5), p99: at(0.99), most: at(1), beside } satisfies Latencies));
// Whoever stands still is not waited for.
process.kill(process.pid, "SIGKILL");
void node;
