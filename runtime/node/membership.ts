// Which nodes there are, under the key `nodes`, for who wants to ask them. Advice: a node that was killed is in it until the next
// one comes.
import type { KeyValue } from "../broker/broker.ts";
import { untilReachableAtStart } from "../broker/until-reachable.ts";
import { MillraceError } from "../event/errors.ts";
import { type Clock, systemClock } from "../event/clock.ts";
import { bounded } from "./bounded.ts";

const key = "nodes";
const version = 1;
const most = 1_000;
/** With each try one of those that write at the same time gets through. */
const tries = most;
const atOnce = 32;

export interface NodeEntry {
  readonly name: string;
  /** Wall clock, ms since the epoch. */
  readonly since: number;
}

/** @throws MillraceError UNREACHABLE */
export async function readNodes(keys: KeyValue): Promise<readonly NodeEntry[]> {
  return (await read(keys)).nodes;
}

/** Adds this node, and removes those of which `answers` says that they are gone; tried for a while. @throws MillraceError UNREACHABLE */
export async function join(keys: KeyValue, self: NodeEntry, answers: (node: string) => Promise<boolean>, clock: Clock = systemClock): Promise<void> {
  await untilReachableAtStart(() => joinOnce(keys, self, answers), clock);
}

async function joinOnce(keys: KeyValue, self: NodeEntry, answers: (node: string) => Promise<boolean>): Promise<void> {
  const gone = new Set<string>([self.name]);
  await bounded((await read(keys)).nodes, atOnce, async ({ name }) => {
    if (!gone.has(name) && !(await answers(name))) gone.add(name);
  });
  await change(keys, (nodes) => [...nodes.filter(({ name }) => !gone.has(name)), self].slice(-most));
}

/** Removes the entry with which a node joined; that of another one that has its name stays. @throws MillraceError UNREACHABLE */
export async function leave(keys: KeyValue, self: NodeEntry): Promise<void> {
  await change(keys, (nodes) => nodes.filter(({ name, since }) => name !== self.name || since !== self.since));
}

async function change(keys: KeyValue, to: (nodes: readonly NodeEntry[]) => readonly NodeEntry[]): Promise<void> {
  for (let attempt = 0; attempt < tries; attempt++) {
    const { nodes, revision } = await read(keys);
    if ((await keys.set(key, Buffer.from(JSON.stringify({ version, nodes: to(nodes) })), revision)) !== undefined) return;
  }
  throw new MillraceError("UNREACHABLE", key, "The list of nodes is written by many", "Start the node again.");
}

async function read(keys: KeyValue): Promise<{ readonly nodes: readonly NodeEntry[]; readonly revision: number }> {
  const kept = await keys.get(key);
  if (kept === undefined) return { nodes: [], revision: 0 };
  let nodes: unknown;
  try {
    ({ nodes } = JSON.parse(Buffer.from(kept.value).toString("utf8")) as { nodes?: unknown });
  } catch {
    // Not ours: written anew.
  }
  const whole = (Array.isArray(nodes) ? nodes : []).filter((node): node is NodeEntry => typeof (node as NodeEntry | null)?.name === "string" && typeof (node as NodeEntry).since === "number");
  return { nodes: whole, revision: kept.revision };
}
