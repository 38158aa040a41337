// A refusal is an answer of a node: plain data, whose code tells what to do.
import { MillraceError } from "../event/errors.ts";

export interface Refusal {
  readonly refused: { readonly code: string; readonly where: string; readonly message: string; readonly remedy: string };
}

/** @throws what is no MillraceError */
export function refusalOf(error: unknown): Refusal {
  if (!(error instanceof MillraceError)) throw error;
  const { code, where, message, remedy } = error, tail = ` (${code}, ${where}). ${remedy}`;
  return { refused: { code, where, message: message.endsWith(tail) ? message.slice(0, -tail.length) : message, remedy } };
}

export function errorOf({ refused: { code, where, message, remedy } }: Refusal): MillraceError {
  return new MillraceError(code, where, message, remedy);
}
