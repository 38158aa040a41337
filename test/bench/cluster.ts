// npm run bench -- cluster: what many nodes cost and bring, each figure with what it has to reach; some 4 minutes.
//   --json           the last line is one JSON object
//   --quick          a tenth of the keys: for a look, not for a claim
//   --only <part>    failover, leader, standby, scaling, placement, actors or processes; may be repeated
import { cpus, loadavg } from "node:os";
import { parseArgs } from "node:util";
import { place, type PlacementActor, type PlacementNode, type Seat } from "../../runtime/cluster/placement.ts";
import { anywhere } from "../../runtime/flow/plan.ts";
import { type Failover, failover } from "./failover.ts";
import { idleActors } from "./idle-actors.ts";
import { rescaling } from "./rescaling.ts";
import { twoProcesses } from "./two-processes.ts";

const parts = ["placement", "actors", "processes", "failover", "leader", "standby", "scaling"] as const;
type Part = (typeof parts)[number];
const { values: given } = parseArgs({ args: process.argv.slice(2).filter((arg) => arg !== "cluster"), options: { json: { type: "boolean" }, quick: { type: "boolean" }, only: { type: "string", multiple: true } } });
const unknown = given.only?.find((part) => !(parts as readonly string[]).includes(part));
if (unknown !== undefined) {
  console.error(`--only is ${unknown}: give ${parts.join(", ")}`);
  process.exit(2);
}

interface Row {
  readonly what: string;
  readonly found: string;
  readonly target?: string;
  readonly isReached?: boolean;
  readonly more?: string;
}

const keysEach = given.quick ? 10_000 : 100_000, rows: Row[] = [], json: Record<string, unknown> = {};
const load = (): string => `load ${loadavg()[0]?.toFixed(1)}`;

const measures: Readonly<Record<Part, () => Promise<void>>> = {
  placement: () => Promise.resolve(counted()),
  async actors() {
    const { actors, startMs, mebibytes: { few, all, each } } = await idleActors(200);
    most("start of 200 actors on a node", startMs / 1_000, 5, "s");
    most("memory of an idle actor", each, 3, "MB", `${Math.round(few)} MB with 10, ${Math.round(all)} MB with 210`);
    json["actors"] = { actors, startMs: Math.round(startMs), mebibytesEach: round(each) };
  },
  async processes() {
    const { events, onePerSecond, twoPerSecond, ratio } = await twoProcesses(30_000);
    rows.push({ what: "two processes to one, hard work", found: `${ratio.toFixed(2)} x`, target: ">= 1.6", isReached: ratio >= 1.6, more: `${Math.round(onePerSecond)} and ${Math.round(twoPerSecond)} events/s, ${load()}` });
    json["processes"] = { events, onePerSecond: Math.round(onePerSecond), twoPerSecond: Math.round(twoPerSecond), ratio: round(ratio) };
  },
  failover: async () => moved("failover", "a node is killed", await failover({ leader: false, keysEach })),
  leader: async () => moved("leader", "the leader is killed", await failover({ leader: true, keysEach })),
  async scaling() {
    const { keys, steps } = await rescaling(keysEach);
    for (const { from, to, ms, moved: went, pauseMs, lost } of steps) most(`${from} -> ${to} partitions, the longest pause of one`, Math.max(...pauseMs) / 1_000, 2, "s", `of ${keys.toLocaleString("en-US")} keys ${went.toLocaleString("en-US")} moved in ${(ms / 1_000).toFixed(1)} s, lost ${lost}`);
    json["scaling"] = { keys, steps };
  },
  standby: async () => moved("standby", "the same, with warm copies", await failover({ leader: false, standby: 1, keysEach })),
};

console.error(`${cpus().length} CPUs, Node ${process.versions.node}; ${load()}`);
if ((loadavg()[0] as number) > cpus().length / 2) console.error("Something else is at work on this machine: look again when it is quiet.");
for (const part of parts) {
  if (given.only !== undefined && !given.only.includes(part)) continue;
  console.error(`${part} ...`);
  await measures[part]();
}
console.log(tableOf(rows));
if (given.json) console.log(JSON.stringify(json));

/** 64 partitions on three nodes, a fourth comes, and leaves. */
function counted(): void {
  const nodes = (count: number): PlacementNode[] => Array.from({ length: count }, (_, at) => ({ name: `n${at + 1}`, weight: 1, labels: [], code: ["f@1"] }));
  const actors = Array.from({ length: 64 }, (_, partition): PlacementActor => ({ address: `f/s/${partition}`, stage: "f/s", code: "f@1", place: anywhere })), nothing: ReadonlyMap<string, Seat> = new Map();
  const three = place(nodes(3), actors, nothing), four = place(nodes(4), actors, three.seats), again = place(nodes(3), actors, four.seats), its = [...four.seats.values()].filter(({ node }) => node === "n4").length;
  rows.push({ what: "64 partitions, 3 -> 4 nodes", found: `${four.moves.length} moves`, target: "= 16", isReached: four.moves.length === 16 });
  rows.push({ what: "4 -> 3 nodes", found: `${again.moves.length} moves`, target: `= ${its}`, isReached: again.moves.length === its && again.moves.every(({ from }) => from === "n4"), more: "those of the node that left" });
  json["placement"] = { more: four.moves.length, fewer: again.moves.length, left: its };
}

function moved(name: string, what: string, { keysEach: each, pausesMs, lost, killed, placedS, claimedS, atWorkS }: Failover): void {
  most("planned move, the longest pause of a partition", pausesMs.at(-1) ?? Infinity, 500, "ms", `${pausesMs.join(", ")} ms, lost ${lost}`);
  most(`${what}: at work again, the first of ${killed.partitions} partitions`, atWorkS[0] ?? Infinity, 6, "s", `placed ${placedS} s, claimed ${claimedS} s, at work ${atWorkS.join(", ")} s; ${each.toLocaleString("en-US")} keys each`);
  json[name] = { keysEach: each, pausesMs, lost, ...killed, placedS, claimedS, atWorkS };
}

function most(what: string, value: number, target: number, unit: string, more = ""): void {
  rows.push({ what, found: `${value >= 100 ? Math.round(value) : value.toFixed(2)} ${unit}`, target: `<= ${target}`, isReached: value <= target, more: `${more}${more === "" ? "" : ", "}${load()}` });
}

function round(value: number): number {
  return Number(value.toFixed(2));
}

function tableOf(all: readonly Row[]): string {
  const cells = all.map(({ what, found, target = "", isReached, more = "" }) => [what, found, target, isReached === undefined ? "" : isReached ? "ok" : "short", more]);
  const widths = [0, 1, 2, 3].map((column) => Math.max(...cells.map((row) => (row[column] as string).length)));
  return cells.map((row) => row.map((cell, column) => (column === 0 ? cell.padEnd(widths[0] as number) : column < 4 ? cell.padStart(widths[column] as number) : cell)).join("  ").trimEnd()).join("\n");
}
