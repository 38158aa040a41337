// What the bench found, for people and for programs; and what it must reach.
import type { Backlog } from "./backlog.ts";
import type { Latency } from "./contender.ts";
import type { Started } from "./start.ts";

interface Throughput {
  readonly perSecond: number;
  readonly cpuUs: number;
  readonly peakRssMb: number;
}

export interface Figures {
  readonly disk: Latency;
  readonly relaxed: Readonly<Record<"plain" | "batched" | "ceiling" | "millrace", Throughput>>;
  readonly always: Readonly<Record<"ceiling" | "millrace", Throughput>>;
  readonly latency: Readonly<Record<"relaxed" | "always", { readonly ceiling: Latency; readonly millrace: Latency }>>;
  readonly replay: Started;
  readonly restart: Started;
  readonly backlog: Backlog;
}

/** Memory counts as levelled off where the last quarter needs no more than so much of the second. */
const levelled = 1.25;

/** The last line of `--json`. */
export function jsonOf({ relaxed, always, latency, replay, restart }: Figures): object {
  const rate = (of: Throughput) => Math.round(of.perSecond);
  const { plain, batched, ceiling, millrace } = relaxed, ms = ({ p50, p99 }: Latency) => ({ p50: round(p50, 2), p99: round(p99, 2) });
  return {
    eventsPerSecond: { plain: rate(plain), batched: rate(batched), ceiling: rate(ceiling), millrace: rate(millrace) },
    ratio: { toPlain: ratio(millrace, plain), toBatched: ratio(millrace, batched), toCeiling: ratio(millrace, ceiling) },
    fsync: { ceiling: rate(always.ceiling), millrace: rate(always.millrace), toCeiling: ratio(always.millrace, always.ceiling) },
    latencyMs: { ceiling: ms(latency.relaxed.ceiling), millrace: ms(latency.relaxed.millrace) },
    replay: { recordsPerSecond: perSecond(replay.records, replay.ms), changesPerSecond: perSecond(replay.changes, replay.ms) },
    restart: { keys: restart.keys, ms: Math.round(restart.ms) },
    peakRssMb: millrace.peakRssMb,
  };
}

/** A table for people: each figure with what it is compared with, and whether that is reached. */
export function tableOf({ relaxed, always, latency, replay, restart, backlog }: Figures): string {
  const { plain, batched, ceiling, millrace } = relaxed, grown = backlog.lateRssMb / backlog.earlyRssMb;
  const rate = (name: string, of: Throughput, note = "") => [name, `${thousands(of.perSecond)} events/s`, note, "", `${of.cpuUs.toFixed(1)} us CPU an event, ${of.peakRssMb} MB`];
  const least = (name: string, value: number, target: number, digits = 2) => [name, value.toFixed(digits), `>= ${target}`, value >= target ? "ok" : "short", ""];
  const delay = (name: string, of: Latency) => [name, `p50 ${of.p50.toFixed(2)} ms`, "", "", `p99 ${of.p99.toFixed(2)} ms`];
  const most = (name: string, value: number, target: number) => [name, value.toFixed(2), `<= ${target}`, value <= target ? "ok" : "short", ""];
  const rows = [
    ["fsync relaxed", "", "target", "", ""],
    rate("  (a) plain client", plain),
    rate("  (b) batched by hand", batched),
    rate("  (c) ceiling", ceiling),
    rate("  (d) Millrace", millrace),
    least("  Millrace to plain", ratio(millrace, plain), 15, 1),
    least("  Millrace to batched", ratio(millrace, batched), 0.6),
    least("  Millrace to ceiling", ratio(millrace, ceiling), 0.75),
    ["fsync always", "", "", "", ""],
    rate("  (c) ceiling", always.ceiling),
    rate("  (d) Millrace", always.millrace),
    least("  Millrace to ceiling", ratio(always.millrace, always.ceiling), 0.75),
    ["latency at 1,000 events/s, made to written", "", "", "", ""],
    ...(["relaxed", "always"] as const).flatMap((fsync) => [
      delay(`  fsync ${fsync}, (c) ceiling`, latency[fsync].ceiling),
      delay(`  fsync ${fsync}, (d) Millrace`, latency[fsync].millrace),
      most("  p99, Millrace to ceiling", latency[fsync].millrace.p99 / latency[fsync].ceiling.p99, 3),
    ]),
    ["start of an actor", "", "", "", ""],
    ["  replay of a journal", `${thousands(perSecond(replay.records, replay.ms))} records/s`, "", "", `${thousands(replay.records)} records in ${Math.round(replay.ms)} ms`],
    ["", `${thousands(perSecond(replay.changes, replay.ms))} changes/s`, ">= 500,000", perSecond(replay.changes, replay.ms) >= 500_000 ? "ok" : "short", `${thousands(replay.changes)} state changes`],
    ["  restart with state", `${Math.round(restart.ms)} ms`, "", "", `${thousands(restart.keys)} keys, ${thousands(restart.changes)} changes to replay`],
    ["  the same without its journal", `${Math.round(restart.elsewhereMs)} ms`, "", "", "from log and snapshots on the server"],
    ["memory, a source ten times faster than its sink", "", "", "", ""],
    [`  late to early`, grown.toFixed(2), `<= ${levelled}`, grown <= levelled ? "ok" : "short", `${backlog.earlyRssMb} MB, then ${backlog.lateRssMb} MB; ${thousands(backlog.made)} events made, ${thousands(backlog.written)} written`],
  ];
  const widths = [0, 1, 2, 3].map((column) => Math.max(...rows.map((row) => (row[column] as string).length)));
  return rows.map((row) => row.map((cell, column) => (column === 0 ? cell.padEnd(widths[0] as number) : column < 4 ? cell.padStart(widths[column] as number) : cell)).join("  ").trimEnd()).join("\n");
}

function ratio(of: Throughput, to: Throughput): number {
  return round(of.perSecond / to.perSecond, 3);
}

function perSecond(count: number, ms: number): number {
  return Math.round((count * 1000) / ms);
}

function round(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}

function thousands(value: number): string {
  return Math.round(value).toLocaleString("en-US");
}
