// What one node knows of a stage that is being scaled, as plain data, and what the views of all nodes come to. Whatever a view says has
// happened is in a log and stays so†: views of different moments, or of a node that was fenced meanwhile, can be put together.
import type { Actor } from "../actor/actor.ts";
import type { Division } from "../actor/environment.ts";
import type { FlowPlan } from "../flow/plan.ts";
import type { HostedActor } from "./hosted-actor.ts";
import type { HostedFlow } from "./hosted-flow.ts";
import type { RunRecord } from "./run-record.ts";
import type { Change, Facts, NewActor, OldActor, Upstream } from "./scale-step.ts";

export interface ScaleView {
  readonly node: string;
  /** Those who feed the stage, by address. */
  readonly upstream: readonly Upstream[];
  /** By partition. `ageMs`: for how long it has taken nothing. */
  readonly old: readonly { readonly p: number; readonly state: OldActor["state"]; readonly ageMs?: number; readonly entries?: number; readonly moved?: number }[];
  /** By partition. `ageMs`: for how long it has run. */
  readonly new: readonly { readonly p: number; readonly state: NewActor["state"]; readonly ageMs?: number }[];
  /** How often those who feed the stage, and its own actors, had to send a frame again so far. */
  readonly again: number;
  /** Where the cost is asked for: frames on each channel into an old mailbox, as far as its sender is here; and as taken by each sealed actor that is here. None where there are very many. */
  readonly sent: readonly (readonly [channel: string, frames: number])[];
  readonly taken: readonly (readonly [p: number, channels: readonly (readonly [channel: string, frames: number])[]])[];
}

/** Rows of frames; a view with more would not fit into a message. */
const mostRows = 4_096;

export interface ViewOptions {
  /** Name of the node. */
  readonly node: string;
  /** Monotonic ms. */
  readonly now: number;
  /** Frames are counted, too. */
  readonly cost: boolean;
  /** What the log of an actor says; resolves in bounded time, and so does the view. */
  readonly stanceOf: (actor: HostedActor) => Promise<Upstream["stance"]>;
}

export async function viewOf(flow: HostedFlow, { stage: name, from, to }: Change, { node, now, cost, stanceOf }: ViewOptions): Promise<ScaleView> {
  const feeds = feedsOf(flow.plan, name), feeding = [...flow.actors.values()].filter(({ stage, recovered }) => feeds.has(stage.name) && recovered !== undefined);
  const upstream = await Promise.all(feeding.map(async (hosted): Promise<Upstream> => ({ actor: hosted.address, stance: await stanceOf(hosted) })));
  const at = (p: number): HostedActor | undefined => flow.actors.get(`${flow.name}/${name}/${p}`), { succession } = flow;
  const old = partitions(from).flatMap((p): ScaleView["old"] => {
    const hosted = at(p), its = hosted?.sealed;
    if (succession?.sealed.has(p) === true) return [{ p, state: "sealed", ...(its === undefined ? {} : { ageMs: now - (its.sealing.since ?? now), entries: its.sealing.entries.all, moved: its.sealing.entries.moved }) }];
    if (hosted?.hasEnded === true && hosted.generation === from.generation) return [{ p, state: "ended" }];
    return hosted?.recovered?.generation !== from.generation || hosted.recovered.signal.aborted ? [] : [{ p, state: "runs" }];
  });
  const its = partitions(to).flatMap((p): ScaleView["new"] => {
    const hosted = at(p), actor = hosted?.recovered;
    return actor?.generation !== to.generation ? [] : [{ p, state: hosted?.hasEnded === true ? "ended" : "runs", ageMs: now - actor.runningSince }];
  });
  return { node, upstream, old, new: its, again: sentAgain(flow, name), ...(cost ? frames(flow, name, from, feeding) : { sent: [], taken: [] }) };
}

const partitions = (of: Division): readonly number[] => Array.from({ length: of.count }, (_, p) => p);

/** The stages whose actors decide when those of that one are over; a source's are its own. */
export function feedsOf({ stages }: FlowPlan, name: string): ReadonlySet<string> {
  const stage = stages.find((one) => one.name === name);
  return new Set(stage?.kind === "source" ? [name] : (stage?.inputs ?? []).map(({ from }) => from));
}

/** How often those who feed a stage, and its own actors, had to send a frame again so far. */
function sentAgain({ actors, plan }: HostedFlow, name: string): number {
  const around = new Set([name, ...feedsOf(plan, name)]);
  let sum = 0;
  for (const { stage, recovered, sealed } of actors.values()) if (around.has(stage.name)) for (const actor of [recovered, sealed]) sum += again(actor);
  return sum;
}

const again = (actor: Actor | undefined): number => actor?.emitter.all.reduce((sum, { delivery }) => sum + delivery.again, 0) ?? 0;

function frames({ actors, name: flow }: HostedFlow, name: string, from: Division, feeding: readonly HostedActor[]): Pick<ScaleView, "sent" | "taken"> {
  const sent: [string, number][] = [], taken: [number, [string, number][]][] = [];
  for (const { recovered } of feeding) for (const { target: [stage, generation, p, input], seq } of recovered?.emitter.outlets ?? []) if (stage === name && generation === from.generation) sent.push([channel(p as number, input as number, recovered as Actor), seq]);
  for (const p of partitions(from)) {
    const actor = actors.get(`${flow}/${name}/${p}`)?.sealed;
    if (actor?.generation === from.generation) taken.push([p, [...actor.memory.inbound.channels].map(({ input, from: address, generation, seq }) => [channel(p, input, { address, generation }), seq])]);
  }
  return taken.reduce((sum, [, channels]) => sum + channels.length, sent.length) > mostRows ? { sent: [], taken: [] } : { sent, taken };
}

const channel = (p: number, input: number, { address, generation }: Pick<Actor, "address" | "generation">): string => `${address}@${generation} ${p} ${input}`;

/** What is known of all, from the views of all nodes. Who is in no view is away. */
export function factsOf(plan: FlowPlan, record: RunRecord, { stage, from, to }: Change, views: readonly ScaleView[]): Facts {
  const feeds = feedsOf(plan, stage), stances = new Map<string, Upstream["stance"]>(), old = new Map<number, OldActor["state"]>(), its = new Map<number, NewActor["state"]>();
  for (const view of views) {
    for (const { actor, stance } of view.upstream) further(stances, actor, stance, ["away", "open", "refused", "ended", "barrier"]);
    for (const { p, state } of view.old) further(old, p, state, ["away", "runs", "ended", "sealed"]);
    for (const { p, state } of view.new) further(its, p, state, ["away", "runs", "ended"]);
  }
  return {
    isSource: plan.stages.find(({ name }) => name === stage)?.kind === "source",
    upstream: record.stages.filter(({ name }) => feeds.has(name)).flatMap(({ name, parallelism }) => Array.from({ length: parallelism }, (_, p) => `${plan.name}/${name}/${p}`)).map((actor) => ({ actor, stance: stances.get(actor) ?? "away" })),
    old: partitions(from).map((p) => ({ actor: `${stage}/${p}`, state: old.get(p) ?? "away" })),
    new: partitions(to).map((p) => ({ actor: `${stage}/${p}`, state: its.get(p) ?? "away" })),
  };
}

/** Of what two nodes say of one actor the one that is further: the other is of an owner that was fenced, or of before. */
function further<K, S extends string>(known: Map<K, S>, key: K, state: S, order: readonly S[]): void {
  const before = known.get(key);
  if (before === undefined || order.indexOf(state) > order.indexOf(before)) known.set(key, state);
}
