// What scaling a stage cost, counted and not estimated.
import type { Actor } from "../actor/actor.ts";
import type { HostedFlow } from "./hosted-flow.ts";
import type { Change } from "./scale-step.ts";

export interface ScaleReceipt {
  readonly from: number;
  readonly to: number;
  /** From the plan to its end, on this node. */
  readonly ms: number;
  /** Entries of state: keys, timers, events that wait or are held; and those of them that another partition has now. */
  readonly entries: number;
  readonly moved: number;
  /** Of each new partition: from when the first of the old ones took nothing more to when it ran. Those of before a restart of the node are not known. */
  readonly pauseMs: readonly number[];
  /** Frames that those who feed it, and its old actors, had to send again. */
  readonly sentAgain: number;
  /** Frames that were sent to the old actors and that they had not taken when they were sealed. */
  readonly lost: number;
}

/** How often those who feed a stage, and its own actors, had to send a frame again so far. */
export function sentAgain({ actors, plan }: Pick<HostedFlow, "actors" | "plan">, name: string): number {
  const around = new Set([name, ...(plan.stages.find((stage) => stage.name === name)?.inputs ?? []).map(({ from }) => from)]);
  let sum = 0;
  for (const { stage, recovered, sealed } of actors.values()) if (around.has(stage.name)) for (const actor of [recovered, sealed]) sum += again(actor);
  return sum;
}

const again = (actor: Actor | undefined): number => actor?.emitter.all.reduce((sum, { delivery }) => sum + delivery.again, 0) ?? 0;

export function receiptOf({ actors, name: flow }: Pick<HostedFlow, "actors" | "name">, { stage, from, to }: Change, { ms, again: sent }: { readonly ms: number; readonly again: number }): ScaleReceipt {
  const at = (p: number) => actors.get(`${flow}/${stage}/${p}`), old = Array.from({ length: from.count }, (_, p) => at(p)?.sealed).filter((actor) => actor !== undefined);
  const since = Math.min(...old.map(({ sealing }) => sealing.since ?? Infinity));
  const pauseMs = Array.from({ length: to.count }, (_, p) => at(p)?.recovered?.runningSince ?? NaN).map((running) => running - since).filter((pause) => Number.isFinite(pause)).map((pause) => Math.max(0, Math.round(pause)));
  let lost = 0;
  for (const actor of old) for (const { input, from: sender, generation, seq } of actor.memory.inbound.channels) {
    const outlet = actors.get(sender)?.recovered?.emitter.outlets.find(({ target }) => target[0] === stage && target[1] === from.generation && target[2] === actor.partition && target[3] === input);
    if (outlet !== undefined && generation === actors.get(sender)?.recovered?.generation) lost += Math.max(0, outlet.seq - seq);
  }
  return {
    from: from.count, to: to.count, ms: Math.round(ms), entries: old.reduce((sum, { sealing }) => sum + sealing.entries.all, 0), moved: old.reduce((sum, { sealing }) => sum + sealing.entries.moved, 0), pauseMs, sentAgain: Math.max(0, sent), lost,
  };
}
