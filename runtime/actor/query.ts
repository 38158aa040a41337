// Answers questions about the state of a key from what is committed: asked of memory, answered once all that it is made of is
// in the log.
import { MillraceError } from "../event/errors.ts";
import type { Key } from "../event/event.ts";
import type { OperatorSpec, StateEntry } from "../flow/operator.ts";
import type { Actor } from "./actor.ts";

/** The state of a key as its user sees it; `undefined` where it has none. */
export async function stateOf(actor: Actor, key: Key): Promise<unknown> {
  const [operator, spec] = stateful(actor);
  return committed(actor, viewOf(spec, await actor.memory.state.ofKey(operator, key)));
}

/**
 * The answer to a query; `undefined` where the key has no state.
 * @throws MillraceError NOT_FOUND, UNAVAILABLE; what the query throws
 */
export async function query(actor: Actor, name: string, key: Key, args: readonly unknown[]): Promise<unknown> {
  const [operator, spec] = stateful(actor), ask = spec.queries?.[name];
  if (ask === undefined) throw new MillraceError("NOT_FOUND", actor.address, `${actor.address} answers no query "${name}"`, `It answers: ${Object.keys(spec.queries ?? {}).join(", ") || "none"}.`);
  const state = viewOf(spec, await actor.memory.state.ofKey(operator, key));
  return committed(actor, state === undefined ? undefined : ask(state as never, ...(args as never[])));
}

function stateful(actor: Actor): readonly [number, OperatorSpec] {
  const steps = actor.stage.kind === "processor" ? actor.stage.steps : [], operator = steps.findIndex(({ state }) => state === "key"), spec = steps[operator];
  if (spec === undefined) throw new MillraceError("NOT_FOUND", actor.address, `${actor.address} keeps no state by key`, "Ask a stage with stateful, aggregate, reduce or summarize.");
  return [operator, spec];
}

/** What is kept of a key as its user sees it. */
export function viewOf(spec: OperatorSpec, entries: readonly StateEntry[]): unknown {
  if (entries.length === 0) return undefined;
  return spec.view === undefined ? entries[0]?.value : spec.view(entries);
}

async function committed<T>(actor: Actor, answer: T): Promise<T> {
  if (await actor.whenCommitted()) return answer;
  throw new MillraceError("UNAVAILABLE", actor.address, `${actor.address} stopped before it could answer`, "Ask again.");
}
