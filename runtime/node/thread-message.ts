// What a node's thread and the thread of an isolated actor say to each other. Structured clones: plain data, errors taken apart.
import type { ActorView } from "../actor/actor-view.ts";
import type { Division } from "../actor/environment.ts";
import type { Exit } from "../actor/exit.ts";
import type { LetterOrder, LetterOutcome } from "../actor/letters.ts";
import type { StateName } from "../actor/lifecycle.ts";
import type { Done } from "../cluster/hosting.ts";
import { MillraceError, UnavailableError } from "../event/errors.ts";
import type { Connection } from "./connection.ts";
import type { MailboxFrames } from "./done-frames.ts";

/** What the thread is started with: all that one life of an actor needs. */
export interface ActorTask {
  /** URL of the module that exports the flow. */
  readonly module: string;
  readonly flow: string;
  readonly stage: string;
  readonly partition: number;
  /** How stages are divided now, and were when the run began. */
  readonly stages: readonly (Division & { readonly name: string; readonly first: Division })[];
  /** Hash of the flow's code. */
  readonly code: string;
  readonly node: string;
  readonly connection: Connection;
  readonly dataDir: string;
  readonly retainMs: number;
  readonly replicas: 1 | 3;
  /** It comes from elsewhere: what it has done is told. */
  readonly counted: boolean;
  /** Shared (actor/at-work.ts): the node sees by it that the thread's loop goes on, and whether a handler is at hand. */
  readonly cells: Int32Array;
}

export interface PackedError {
  readonly kind: "MillraceError" | "UnavailableError" | "Error";
  readonly name: string;
  readonly message: string;
  readonly stack: string | undefined;
  readonly more: { readonly code?: string; readonly where?: string; readonly remedy?: string; readonly retryAfter?: number | string };
}

export type PackedExit = Omit<Exit, "error"> & { readonly error?: PackedError };

export type FromThread =
  | { readonly is: "state"; readonly state: StateName; readonly error?: PackedError }
  | { readonly is: "running" }
  /** It has its state back. */
  | { readonly is: "recovered"; readonly done: Done; readonly unsettled: number }
  /** `null`: NATS could not be asked. */
  | { readonly is: "mailboxes"; readonly frames: MailboxFrames | null }
  | { readonly is: "view"; readonly view: ActorView; readonly ended: boolean }
  | { readonly is: "poison"; readonly event: string; readonly error: PackedError }
  | { readonly is: "log"; readonly level: "debug" | "info" | "warn" | "error"; readonly message: string; readonly fields: object }
  | { readonly is: "settled"; readonly number: number; readonly outcome: LetterOutcome }
  /** The last one: everything of it is closed. `done`: none where it had not its state back. */
  | { readonly is: "exit"; readonly exit: PackedExit; readonly done: Done | undefined };

export type ToThread = { readonly is: "stop" } | { readonly is: "settle"; readonly number: number; readonly order: LetterOrder };

export function packed(error: Error): PackedError {
  const { name, message, stack } = error;
  if (error instanceof MillraceError) return { kind: "MillraceError", name, message, stack, more: { code: error.code, where: error.where, remedy: error.remedy } };
  if (error instanceof UnavailableError) return { kind: "UnavailableError", name, message, stack, more: error.retryAfter === undefined ? {} : { retryAfter: error.retryAfter } };
  return { kind: "Error", name, message, stack, more: {} };
}

export function unpacked({ kind, name, message, stack, more }: PackedError): Error {
  const prototype = kind === "MillraceError" ? MillraceError.prototype : kind === "UnavailableError" ? UnavailableError.prototype : Error.prototype;
  return Object.defineProperties(Object.create(prototype) as Error, Object.fromEntries(Object.entries({ name, message, stack, problems: [], ...more }).map(([key, value]) => [key, { value, enumerable: false, writable: true, configurable: true }])));
}

export function packedExit({ error, ...exit }: Exit): PackedExit {
  return error === undefined ? exit : { ...exit, error: packed(error) };
}

export function unpackedExit({ error, ...exit }: PackedExit): Exit {
  return error === undefined ? exit : { ...exit, error: unpacked(error) };
}
