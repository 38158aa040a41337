// Judges what came out of a flow against what a single thread would have computed.
import type { DeadLetter } from "../../runtime/actor/emitter.ts";
import type { TakenBack } from "./letters.ts";

export interface Observed {
  /** What the targets hold, by partition of the sink. */
  readonly parts: readonly (readonly unknown[])[];
  /** All of it. */
  readonly all: readonly unknown[];
  readonly letters: readonly DeadLetter[];
  /** Where somebody takes them back. */
  readonly takenBack: TakenBack | undefined;
  /** The broker lost something that it had acknowledged. */
  readonly lost: boolean;
  /** Which target a key belongs to; `undefined`: the sink was scaled, a key has been in several. */
  readonly partitionOf: ((key: string) => number) | undefined;
}

interface Numbered { readonly n: number; readonly id: number; readonly from: string; readonly copy: number }
interface Origin { readonly id: number; readonly from: string; readonly copy: number }

/** Per key: counted 1, 2, 3 … without holes, and of each split of each source all, in its order, each once. */
export function bySequence<T extends Numbered, E extends Origin>(found: readonly T[], expected: readonly E[], keyOf: (of: T) => string, keyIn: (of: E) => string, whole: boolean): string | undefined {
  const keys = new Set([...found.map(keyOf), ...expected.map(keyIn)]);
  for (const key of keys) {
    const rows = found.filter((of) => keyOf(of) === key).sort((a, b) => a.n - b.n), words = () => rows.map(({ n, id, copy }) => `${n}:${id}.${copy}`).join(" ");
    if (rows.some(({ n }, i) => n !== i + 1)) return `the counts of key ${key} are ${words()}`;
    for (const from of new Set([...rows, ...expected.filter((of) => keyIn(of) === key)].map((of) => of.from))) {
      const name = ({ id, copy }: Origin) => `${id}.${copy}`;
      const got = rows.filter((of) => of.from === from).map(name), want = expected.filter((of) => of.from === from && keyIn(of) === key).map(name);
      if (got.some((one, i) => one !== want[i]) || (whole && got.length !== want.length)) return `key ${key} got ${got.join(" ") || "nothing"} of ${from}; expected ${want.join(" ") || "nothing"} (${words()})`;
    }
  }
  return undefined;
}

/** Per key, in each target: numbers go up, by one where it is its only target. */
export function inOrderOf(observed: Observed, keyOf: (of: unknown) => string, numberOf: (of: unknown) => number): string | undefined {
  for (const [partition, data] of observed.parts.entries()) {
    const counts = new Map<string, number>();
    for (const of of data) {
      if (of === undefined) return `target ${partition} has a hole: ${JSON.stringify(data)}`;
      const key = keyOf(of), n = numberOf(of);
      const before = counts.get(key) ?? 0;
      if (observed.partitionOf === undefined ? n <= before : n !== before + 1) return `target ${partition} holds number ${n} of key ${key} after ${before}`;
      counts.set(key, n);
    }
  }
  return undefined;
}
