// What differs between a source, a processor and a sink. The actor asks its behaviour to work, and commits what came of it.
import type { Body, CommitRecord } from "../journal/record.ts";
import type { Position } from "./inbound.ts";

export interface Behaviour {
  /** Replay: the fields that are its own. Runs no user code (I7). */
  apply(record: CommitRecord): void;
  /** The turn is about to be closed. */
  closing(): void;
  /** The fields that are its own, for a record: what changed, or all of it. Called when a turn is closed. */
  write(body: Body, whole: boolean): void;
  /** After recovery, before the first turn. */
  start(): Promise<void>;
  /** Takes and handles what there is, until nothing is there, the turn is full, or a handler is not done. */
  work(): void;
  /** Whether there is something to commit: "now", "later" (within a fraction of a second), or nothing. */
  readonly pending: "now" | "later" | "nothing";
  /** Something that it began was not done at once, and is not yet: a handler, a read, a write. */
  readonly busy: boolean;
  /** Whether the open turn may be closed: no event is in the middle of its effects. */
  readonly closable: boolean;
  /** Watermark that may be promised with the open turn: below everything that is still held. */
  readonly watermark: number;
  /** Nothing more comes, and nothing is held: the end may be committed. */
  readonly finished: boolean;
  /** No event is under way, none is taken and not done: it may be sealed (PROTOCOL 11). */
  readonly quiet: boolean;
  /** A record is in the log and in the journal; with the position of the mailbox as of it. */
  committed(position: Position | undefined): void;
  /** When it wants to work although nothing came, wall clock in ms; Infinity: never. */
  readonly wake: number;
  /** Takes nothing new; resolves when handlers under way are done. */
  drain(): Promise<void>;
  /** After the end was committed and all is settled: the last thing before the actor is over. */
  finish(): Promise<void>;
  /** Aborts and closes everything. */
  close(): Promise<void>;
}
