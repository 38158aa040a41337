// A term: who holds a log. The counter orders terms, the mark (8 random bytes) tells apart two that a broker gave out twice.
import type { Random } from "./clock.ts";

export type Term = readonly [counter: number, mark: Uint8Array];

/** The term after a counter. */
export function nextTerm(counter: number, random: Random): Term {
  return [counter + 1, random.bytes(8)];
}

export function sameTerm(a: Term | null | undefined, b: Term | null | undefined): boolean {
  if (a === b) return true;
  if (!a || !b || a[0] !== b[0] || a[1].length !== b[1].length) return false;
  for (let i = 0; i < a[1].length; i++) if (a[1][i] !== b[1][i]) return false;
  return true;
}

/** Whether a decoded value is a term. */
export function isTerm(value: unknown): value is Term {
  return Array.isArray(value) && value.length === 2 && Number.isSafeInteger(value[0]) && value[1] instanceof Uint8Array && value[1].length === 8;
}
