// What a node answers to "tree": its part of the supervision tree with figures, as a list from the top down, a page at a time.
import type { StateName } from "../actor/lifecycle.ts";
import type { HostedActor } from "../node/hosted-actor.ts";
import type { RunningNode } from "../node/node.ts";
import type { Question } from "../node/questions.ts";
import type { RunState } from "../node/run-record.ts";
import type { NodeKind, Strategy } from "../supervision/child-spec.ts";
import type { TreeNode } from "../supervision/tree.ts";
import { type ActorFigures, actorFigures } from "./figures.ts";
import type { Lags } from "./lag.ts";

/** One line of the tree. Plain data; a child comes after its parent, `depth` one more. */
export interface TreeLine {
  readonly depth: number;
  readonly id: string;
  readonly kind: NodeKind;
  readonly state: StateName;
  readonly paused: boolean;
  readonly restarts: number;
  /** Why it is not running. */
  readonly why?: { readonly code?: string; readonly message: string };
  /** `at`: wall clock, ms since the epoch. */
  readonly lastFailure?: { readonly at: number; readonly message: string; readonly decision: string };
  /** Wall clock, ms since the epoch. */
  readonly nextTryAt?: number;
  readonly strategy?: Strategy;
  readonly figures?: ActorFigures;
}

export interface NodeReport {
  readonly node: string;
  /** Wall clock, ms since the epoch. */
  readonly startedAt: number;
  readonly now: number;
  readonly pid: number;
  readonly memory: { readonly rssBytes: number; readonly heapBytes: number };
  readonly nats: { readonly address: string; readonly version: string; readonly connected: boolean; readonly embedded: boolean; readonly fault?: { readonly code: string; readonly message: string; readonly remedy: string } };
  readonly flows: readonly { readonly name: string; readonly run: string; readonly state: RunState; readonly startedAt: number; readonly code: string }[];
  readonly lines: readonly TreeLine[];
  /** Where the next page begins; none: this was the last. */
  readonly next?: number;
}

const pageLines = 500;
/** Of a text in a line. */
const longest = 500;

export async function reportOn(node: RunningNode, lags: Lags, { from }: Question = { what: "tree" }): Promise<NodeReport> {
  const begin = typeof from === "number" && Number.isSafeInteger(from) && from > 0 ? from : 0;
  const all = [...flat(node.tree(), 0)], page = all.slice(begin, begin + pageLines), end = begin + page.length;
  const actors = new Map(node.flows.flatMap((flow) => [...flow.actors]));
  for (const flow of node.flows) await lags.measure(flow, page.flatMap(([{ id }]) => flow.actors.get(id) ?? []), node.clock.monotonic());
  const { access } = node.parts, { rss, heapUsed } = process.memoryUsage();
  return {
    node: node.name,
    startedAt: node.startedAt,
    now: node.clock.now(),
    pid: process.pid,
    memory: { rssBytes: rss, heapBytes: heapUsed },
    nats: { address: access.address, version: access.broker.version, connected: access.broker.connected, embedded: access.embedded, ...faultOf(access) },
    flows: node.flows.map(({ name, code, run: { record: { token, state, startedAt } } }) => ({ name, run: token, state, startedAt, code })),
    lines: page.map(([of, depth]) => lineOf(of, depth, actors.get(of.id), lags)),
    ...(end < all.length ? { next: end } : {}),
  };
}

function faultOf({ broker: { fault }, embedded }: RunningNode["parts"]["access"]): Pick<NodeReport["nats"], "fault"> {
  if (fault === undefined) return {};
  const { code, where, message, remedy } = fault;
  return { fault: { code, message: message.slice(0, message.lastIndexOf(` (${code}, ${where}). `)), remedy: embedded ? "Make room on the disk of the data folder: the node then restarts its server by itself." : remedy } };
}

function* flat(node: TreeNode, depth: number): Generator<readonly [TreeNode, number]> {
  yield [node, depth];
  for (const child of node.children) yield* flat(child, depth + 1);
}

function lineOf({ id, kind, state, paused, restarts, why, lastFailure, nextTryAt, strategy }: TreeNode, depth: number, actor: HostedActor | undefined, lags: Lags): TreeLine {
  return {
    depth, id, kind, state, paused, restarts,
    ...(why === undefined ? {} : { why: { ...(why.code === undefined ? {} : { code: why.code }), message: cut(why.message) } }),
    ...(lastFailure === undefined ? {} : { lastFailure: { at: lastFailure.at, message: cut(lastFailure.message), decision: cut(lastFailure.decision) } }),
    ...(nextTryAt === undefined ? {} : { nextTryAt }),
    ...(strategy === undefined ? {} : { strategy }),
    ...(actor === undefined ? {} : { figures: actorFigures(actor, lags) }),
  };
}

const cut = (text: string): string => (text.length <= longest ? text : `${text.slice(0, longest - 1)}…`);
