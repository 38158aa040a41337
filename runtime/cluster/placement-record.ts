// What is written into the cluster's log (stream `mr_cluster`, subject `mr.cluster.log`), and what it comes to. JSON, so that it can be
// read with NATS' own tools. Like an actor's commit log: numbered records, one writer by compare-and-set, a claim fences.
import { deflateRawSync, inflateRawSync } from "node:zlib";
import { MillraceError } from "../event/errors.ts";
import type { PlacePlan } from "../flow/plan.ts";
import type { Move, PlacementActor } from "./placement.ts";
import { isUpgrade, type Upgrade } from "./upgrade.ts";

/** Newest form that is read; 3 with upgrades. What holds no cordon and no pin is written as 1, which every Millrace reads. */
const version = 3;
/** A record that is longer than so many bytes is written packed, as another version that older ones refuse: of very many actors it has a tenth then. */
const packed = { version: 4, above: 64 * 1024, most: 64 * 1024 * 1024 } as const;

/** Where one actor is. */
export interface SeatState {
  readonly node: string | null;
  /** Number of the record that placed it there: who was fenced under one is not to claim again before the next. */
  readonly since: number;
  /** Where it was before; it may still be stopping there. */
  readonly from: string | null;
  readonly standby: readonly string[];
  /** The node that a person chose for it, and in which record. Over when that node may not have it any more, and with the run. */
  readonly pin?: { readonly node: string; readonly since: number };
  /** Hash of its code, while that is another than the flow's. */
  readonly code?: string;
}

/** Where one is that has no node yet. */
export const unplaced: SeatState = { node: null, since: 0, from: null, standby: [] };

/** A node that takes no actors. Of a start of the node: one that was started again takes actors. */
export interface Cordon {
  readonly node: string;
  readonly life: string;
  /** Number of the record that made it. */
  readonly since: number;
}

export interface FlowSeats {
  readonly name: string;
  /** Token of the run. */
  readonly run: string;
  /** Hash of the code that runs. */
  readonly code: string;
  /** All its actors have ended, and that is in its run's record. */
  readonly ended: boolean;
  /** Its actors go over to another code. */
  readonly upgrade?: Upgrade;
  /** In the order of the flow. */
  readonly stages: readonly StageSeats[];
}

export interface StageSeats {
  readonly name: string;
  readonly place: PlacePlan;
  /** By partition. */
  readonly seats: readonly SeatState[];
}

/** - `lead`: a node leads from here on, with the next term; holds all that was decided so far, so that what is before it can be purged. - `place`: where the actors of a flow are. - `cordon`: a start of a node takes no actors, or takes them again. */
export type Decision =
  | { readonly kind: "lead"; readonly node: string; readonly life: string; readonly flows: readonly FlowSeats[]; readonly cordons?: readonly Cordon[] }
  | { readonly kind: "cordon"; readonly node: string; readonly life: string; readonly on: boolean }
  | { readonly kind: "place"; readonly flow: FlowSeats; readonly moves: readonly Move[] };

export type PlacementRecord = Decision & {
  /** 1, 2, 3 … */
  readonly n: number;
  readonly term: number;
  /** Random: tells this record from another writer's of the same number. */
  readonly mark: string;
  /** Mark of the record that it was written after; "": the first. */
  readonly before: string;
  /** Wall clock, ms since the epoch; for people. */
  readonly at: number;
};

export interface ClusterState {
  readonly n: number;
  /** 0: nobody has led yet. */
  readonly term: number;
  readonly leader: { readonly node: string; readonly life: string } | undefined;
  readonly flows: ReadonlyMap<string, FlowSeats>;
  readonly cordons: readonly Cordon[];
}

export const emptyState: ClusterState = { n: 0, term: 0, leader: undefined, flows: new Map(), cordons: [] };

/** Those of nodes that have gone are let go of where there are very many. */
const mostCordons = 1_000;

/** The state after a record. */
export function after(state: ClusterState, record: PlacementRecord): ClusterState {
  const { n, term } = record;
  if (record.kind === "lead") return { n, term, leader: { node: record.node, life: record.life }, flows: new Map(record.flows.map((flow) => [flow.name, flow])), cordons: record.cordons ?? [] };
  if (record.kind === "cordon") return { ...state, n, term, cordons: [...state.cordons.filter(({ node, life }) => node !== record.node || (!record.on && life !== record.life)), ...(record.on ? [{ node: record.node, life: record.life, since: n }] : [])].slice(-mostCordons) };
  return { ...state, n, term, flows: new Map([...state.flows, [record.flow.name, record.flow]]) };
}

/** Address and seat of every actor of a flow. */
export function* seatsOf({ name, stages }: FlowSeats): Generator<readonly [address: string, seat: SeatState]> {
  for (const stage of stages) for (const [partition, seat] of stage.seats.entries()) yield [`${name}/${stage.name}/${partition}`, seat];
}

/** Its actors, as they are placed. */
export function actorsOf({ name, code, stages }: FlowSeats): readonly PlacementActor[] {
  return stages.flatMap(({ name: stage, place, seats }) => seats.map((seat, partition) => ({ address: `${name}/${stage}/${partition}`, stage: `${name}/${stage}`, code: codeOf(name, seat.code ?? code), place, ...(seat.pin === undefined ? {} : { pin: seat.pin.node }) })));
}

/** As nodes offer it and actors ask for it. */
export function codeOf(flow: string, code: string): string {
  return `${flow}@${code}`;
}

export function encodePlacement(record: PlacementRecord): Uint8Array {
  const text = Buffer.from(JSON.stringify({ v: versionOf(record), ...record }));
  return text.length <= packed.above ? text : Buffer.from(JSON.stringify({ v: packed.version, packed: deflateRawSync(text, { level: 3 }).toString("base64") }));
}

/** The oldest that has all that is in it. */
function versionOf(record: PlacementRecord): number {
  if (record.kind === "cordon") return 2;
  const flows = record.kind === "lead" ? record.flows : [record.flow], seats = flows.flatMap(({ stages }) => stages).flatMap((stage) => stage.seats);
  if (flows.some(({ upgrade }) => upgrade !== undefined) || seats.some(({ code }) => code !== undefined)) return version;
  return (record.kind === "lead" && record.cordons !== undefined) || seats.some(({ pin }) => pin !== undefined) ? 2 : 1;
}

/** @throws MillraceError PLACEMENT_NEWER, BYTES_REFUSED */
export function decodePlacement(bytes: Uint8Array): PlacementRecord {
  let read = parsed(bytes);
  if (read["v"] === packed.version && typeof read["packed"] === "string") read = parsed(unpacked(read["packed"]));
  if (read.v > version) throw new MillraceError("PLACEMENT_NEWER", "mr.cluster.log", "A record of the cluster was written by a newer Millrace", "Run that version on this node; nothing was changed.");
  const { n, term, mark, before, at, kind } = read;
  if (!isCount(n) || !isCount(term) || typeof mark !== "string" || typeof before !== "string" || typeof at !== "number") throw refused();
  const head = { n, term, mark, before, at };
  if (kind === "lead" && typeof read["node"] === "string" && typeof read["life"] === "string" && isListOf(read["flows"], isFlow) && isListOf(read["cordons"] ?? [], isCordon)) return { ...head, kind, node: read["node"], life: read["life"], flows: read["flows"], ...(read["cordons"] === undefined ? {} : { cordons: read["cordons"] as Cordon[] }) };
  if (kind === "cordon" && typeof read["node"] === "string" && typeof read["life"] === "string" && typeof read["on"] === "boolean") return { ...head, kind, node: read["node"], life: read["life"], on: read["on"] };
  if (kind === "place" && isFlow(read["flow"]) && isListOf(read["moves"], isMove)) return { ...head, kind, flow: read["flow"], moves: read["moves"] };
  throw refused();
}

function parsed(bytes: Uint8Array): Record<string, unknown> & { readonly v: number } {
  let read: Record<string, unknown>;
  try {
    read = JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("utf8")) as typeof read;
  } catch (cause) {
    throw refused(cause);
  }
  if (typeof read !== "object" || read === null || !isCount(read["v"])) throw refused();
  return read as ReturnType<typeof parsed>;
}

function unpacked(text: string): Uint8Array {
  try {
    return inflateRawSync(Buffer.from(text, "base64"), { maxOutputLength: packed.most });
  } catch (cause) {
    throw refused(cause);
  }
}

type Form<T> = Partial<Record<keyof T, unknown>> | null | undefined;
const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
const isName = (value: unknown): value is string | null => value === null || typeof value === "string";
const isText = (value: unknown): value is string => typeof value === "string";

function isListOf<T>(value: unknown, is: (one: unknown) => one is T): value is T[] {
  return Array.isArray(value) && value.every(is);
}

function isSeat(value: unknown): value is SeatState {
  const seat = value as Form<SeatState>;
  return typeof seat === "object" && isName(seat?.node) && isCount(seat.since) && isName(seat.from) && isListOf(seat.standby, isText) && (seat.pin === undefined || isPin(seat.pin)) && (seat.code === undefined || isText(seat.code));
}

function isPin(value: unknown): value is NonNullable<SeatState["pin"]> {
  const pin = value as Form<NonNullable<SeatState["pin"]>>;
  return typeof pin === "object" && isText(pin?.node) && isCount(pin.since);
}

function isCordon(value: unknown): value is Cordon {
  const cordon = value as Form<Cordon>;
  return isText(cordon?.node) && isText(cordon.life) && isCount(cordon.since);
}

function isFlow(value: unknown): value is FlowSeats {
  const flow = value as Form<FlowSeats>;
  return isText(flow?.name) && isText(flow.run) && isText(flow.code) && typeof flow.ended === "boolean" && (flow.upgrade === undefined || isUpgrade(flow.upgrade)) && isListOf(flow.stages, isStage);
}

function isStage(value: unknown): value is StageSeats {
  const stage = value as Form<StageSeats>, place = stage?.place as Form<PlacePlan>;
  return isText(stage?.name) && isListOf(stage.seats, isSeat) && isListOf(place?.labels, isText) && typeof place?.spread === "boolean" && [0, 1, 2].includes(place.standby as number);
}

function isMove(value: unknown): value is Move {
  const move = value as Form<Move>;
  return isText(move?.actor) && isName(move.from) && isName(move.to) && isText(move.why);
}

function refused(cause?: unknown): MillraceError {
  return new MillraceError("BYTES_REFUSED", "mr.cluster.log", "A message in the cluster's log is no record", "Look at who publishes there; only nodes may.", cause === undefined ? {} : { cause });
}
