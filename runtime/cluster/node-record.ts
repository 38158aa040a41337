// What a node says of itself with each beat of its heart: JSON, the newest of each node kept in the stream `mr_nodes` under
// `mr.node.<name>`. Nothing secret is in it.
import { MillraceError } from "../event/errors.ts";
import type { FailedSeat } from "./upgrade.ts";

const version = 1;

export interface NodeRecord {
  readonly name: string;
  /** Of this start of it: random, so that a node that was started again is not taken for the one before. */
  readonly life: string;
  /** 1, 2, 3 … in a life; the same again where a beat is told once more because something changed. */
  readonly beat: number;
  /** `left`: it went in order, and hosts nothing any more. */
  readonly state: "here" | "left";
  readonly weight: number;
  readonly labels: readonly string[];
  readonly capacity?: number;
  /** Of Millrace. */
  readonly version: string;
  /** Wall clock, ms since the epoch; for people. */
  readonly startedAt: number;
  readonly flows: readonly NodeFlow[];
}

/** What a node has to do with a flow. */
export interface NodeFlow {
  readonly name: string;
  /** Hash of its code that this node has. */
  readonly code: string;
  /** Of the actors that are placed here: how many there are, have ended, and will not go on by themselves. */
  readonly hosted: number;
  readonly ended: number;
  readonly stuck: number;
  /** Warm copies that it keeps for actors of other nodes, and how many of them have all that their logs have. */
  readonly copies?: { readonly kept: number; readonly warm: number };
  /** It was deployed, and is to run: so a leader knows that does not have its code. */
  readonly wanted?: true;
  /** While the flow is being upgraded, of the actors that have this code here: those that work, each with the number of the record that gave it the code; and those that will not. */
  readonly up?: Readonly<Record<string, number>>;
  readonly failed?: readonly FailedSeat[];
}

export const nodesStream = "mr_nodes";
export const nodesPattern = "mr.node.>";

export function nodeSubject(name: string): string {
  return `mr.node.${name}`;
}

export function encodeNode(record: NodeRecord): Uint8Array {
  return Buffer.from(JSON.stringify({ v: version, ...record }));
}

/** `undefined`: of a newer Millrace, which this one cannot judge. @throws MillraceError BYTES_REFUSED */
export function decodeNode(bytes: Uint8Array): NodeRecord | undefined {
  let read: Partial<Record<keyof NodeRecord | "v", unknown>>;
  try {
    read = JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("utf8")) as typeof read;
  } catch (cause) {
    throw refused(cause);
  }
  if (typeof read !== "object" || read === null || typeof read.v !== "number") throw refused();
  if (read.v > version) return undefined;
  const { name, life, beat, state, weight, labels, capacity, startedAt, flows } = read, { version: of } = read;
  const whole = isText(name) && isText(life) && Number.isSafeInteger(beat) && (state === "here" || state === "left") && isAbove(weight) && isTexts(labels)
    && (capacity === undefined || Number.isSafeInteger(capacity)) && isText(of) && typeof startedAt === "number" && Array.isArray(flows) && flows.every(isFlow);
  if (!whole) throw refused();
  return { name, life, beat: beat as number, state, weight, labels, ...(capacity === undefined ? {} : { capacity: capacity as number }), version: of, startedAt, flows };
}

const isText = (value: unknown): value is string => typeof value === "string" && value !== "" && value.length <= 256;
const isTexts = (value: unknown): value is string[] => Array.isArray(value) && value.every(isText);
const isAbove = (value: unknown): value is number => typeof value === "number" && value > 0 && value < Infinity;
const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;

function isFlow(value: unknown): value is NodeFlow {
  const flow = value as Partial<NodeFlow> | null;
  return isText(flow?.name) && isText(flow.code) && isCount(flow.hosted) && isCount(flow.ended) && isCount(flow.stuck)
    && (flow.copies === undefined || (isCount(flow.copies.kept) && isCount(flow.copies.warm)))
    && (flow.up === undefined || (typeof flow.up === "object" && flow.up !== null && Object.values(flow.up).every(isCount))) && (flow.failed === undefined || (Array.isArray(flow.failed) && flow.failed.every(isFailed)));
}

function isFailed(value: unknown): value is FailedSeat {
  const its = value as Partial<Record<keyof FailedSeat, unknown>> | null;
  return isText(its?.actor) && isText(its.code) && typeof its.message === "string" && isCount(its.since) && (its.kept === undefined || isText(its.kept));
}

function refused(cause?: unknown): MillraceError {
  return new MillraceError("BYTES_REFUSED", nodesPattern, "A message under mr.node.> is no record of a node", "Look at who publishes there; only nodes may.", cause === undefined ? {} : { cause });
}
