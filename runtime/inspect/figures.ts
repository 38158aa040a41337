// What is known of a flow on this node, in figures: an actor's, and a stage's as the sum of its actors.
import { display, type StateName } from "../actor/lifecycle.ts";
import type { Key } from "../event/event.ts";
import type { HostedActor } from "../node/hosted-actor.ts";
import type { HostedFlow } from "../node/hosted-flow.ts";
import type { TreeNode } from "../supervision/tree.ts";
import type { Lags } from "./lag.ts";

export interface ActorFigures {
  readonly in: number;
  readonly out: number;
  readonly late: number;
  readonly deadLetters: number;
  /** Dead letters that are neither replayed nor dropped. */
  readonly openLetters: number;
  /** Frames that wait in its mailboxes; null: not known, or a source. */
  readonly lag: number | null;
  /** Commit records that a restart would read. */
  readonly journal: number;
  /** Full mailboxes that hold it up, at most four, such as "by-region/2". */
  readonly heldUpBy: readonly string[];
  /** Keys that wait until a dead letter of theirs is replayed or dropped: how many, the first four, and the events behind them. */
  readonly parked: { readonly keys: number; readonly first: readonly Key[]; readonly events: number };
  /** Timers that are set and did not fire; once it has ended, those that stay. */
  readonly timers: number;
}

export interface StageFigures extends Omit<ActorFigures, "journal" | "parked"> {
  readonly name: string;
  readonly kind: "source" | "processor" | "sink";
  readonly actors: number;
  /** In a word, of the actor that is worst off. */
  readonly state: string;
  /** Of its actors and of itself. */
  readonly restarts: number;
}

const mostNamed = 4;

export function actorFigures(actor: HostedActor, lags: Lags): ActorFigures {
  const { view } = actor, { settled = 0, ...counts } = actor.counts;
  return {
    ...counts, openLetters: counts.deadLetters - settled, lag: lags.of(actor) ?? null, journal: view?.journalLength ?? 0, heldUpBy: heldUpBy(view?.full ?? []),
    parked: view?.parked ?? { keys: 0, first: [], events: 0 }, timers: view?.timers ?? 0,
  };
}

/** Of a mailbox's id only the actor. */
function heldUpBy(ids: readonly string[]): readonly string[] {
  return [...new Set(ids.map(readerOf))].slice(0, mostNamed);
}

/** "by-region/2" of the outlet "by-region/<generation>/2/0"; a chain's subject as it is. */
function readerOf(id: string): string {
  const [stage, , partition] = id.split(/[/ ]/);
  return partition === undefined ? id : `${stage}/${partition}`;
}

/** From the worst to the best: a stage is shown as its worst actor. */
const order: readonly StateName[] = [
  "parked", "fenced", "backing-off", "unavailable.claiming", "unavailable.recovering", "unavailable.running", "stopped", "draining",
  "claiming", "recovering", "idle", "running.paused", "running.active", "ended",
];

function worst(states: readonly StateName[]): string {
  return display(order.find((state) => states.includes(state)) ?? "idle");
}

/** Of each stage, in the order of the events' way. `tree`: of the flow. */
export function stageFigures(flow: HostedFlow, tree: TreeNode, lags: Lags): readonly StageFigures[] {
  const nodes = new Map(tree.children.map((node) => [node.id, node]));
  return flow.plan.stages.map((stage) => {
    const node = nodes.get(`${flow.name}/${stage.name}`), of = node?.children ?? [];
    const actors = [...flow.actors.values()].filter((actor) => actor.stage.name === stage.name).map((actor) => actorFigures(actor, lags));
    const known = actors.flatMap(({ lag }) => (lag === null ? [] : [lag]));
    const { settled = 0, ...counts } = flow.counts(stage);
    return {
      ...counts,
      openLetters: counts.deadLetters - settled,
      timers: actors.reduce((sum, its) => sum + its.timers, 0),
      name: stage.name,
      kind: stage.kind,
      actors: actors.length,
      // What happened to the whole stage is told by none of its actors.
      state: node !== undefined && ["parked", "backing-off"].includes(node.state) ? display(node.state) : worst(of.map(({ state }) => state)),
      restarts: (node?.restarts ?? 0) + of.reduce((sum, { restarts }) => sum + restarts, 0),
      lag: known.length === 0 ? null : known.reduce((sum, lag) => sum + lag, 0),
      heldUpBy: [...new Set(actors.flatMap((figures) => figures.heldUpBy))].slice(0, mostNamed),
    };
  });
}

/** The part of a node's tree that is a flow's. */
export function treeOfFlow(tree: TreeNode, flow: string): TreeNode | undefined {
  return tree.children.find(({ id }) => id === flow);
}
