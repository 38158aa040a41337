// What stands on an actor's chain of dead letters: events that were given up, and what became of them since.
import { isKey, type Key } from "../event/event.ts";

/** How an event that was given up goes in again (letters.ts). */
export interface Replay {
  /** The operator that it goes into, in the order of the stage's operators. */
  readonly step: number;
  /** Of a timer that fired. */
  readonly timer: string | null;
  /** As that operator had them. */
  readonly time: number;
  readonly type: string | null;
  /** The waiting entry by which it holds its key (`park: "key"`). */
  readonly parks: string | null;
}

export interface DeadLetter {
  readonly code: string;
  readonly message: string;
  readonly error: { readonly name: string; readonly message: string; readonly stack: string };
  readonly actor: string;
  readonly attempts: number;
  /** Hash of the flow's code. */
  readonly flow: string;
  readonly event: { readonly id: string; readonly type: string; readonly time: number; readonly key: Key | null; readonly source: string; readonly data: unknown };
  /** None: it cannot go in again, since what is kept of it is not what came. */
  readonly replay?: Replay;
}

/** What stands on the chain for a letter that was replayed or dropped: which, by the number of its frame on this chain and its place in it. */
export interface Settlement {
  readonly settled: "replayed" | "dropped";
  readonly frame: number;
  readonly place: number;
  /** Whose letter, such as "f/stage/0@k3v9x2ab-1", where it is of an earlier generation and stands on that one's chain. */
  readonly of?: string;
  /** Wall clock, ms since the epoch. */
  readonly at: number;
}

export function isLetter(data: unknown): data is DeadLetter {
  const { code, message, actor, attempts, event, replay } = Object(data) as Partial<DeadLetter>;
  if (typeof code !== "string" || typeof message !== "string" || typeof actor !== "string" || typeof attempts !== "number" || typeof event !== "object" || event === null) return false;
  return replay === undefined || isReplay(replay);
}

/** Whether its event is one, too: for who handles it again. */
export function isWhole({ event: { id, type, time, key, source } }: DeadLetter): boolean {
  return typeof id === "string" && typeof type === "string" && typeof time === "number" && (key === null || isKey(key)) && typeof source === "string";
}

export function isSettlement(data: unknown): data is Settlement {
  const { settled, frame, place } = Object(data) as Partial<Settlement>;
  return (settled === "replayed" || settled === "dropped") && Number.isSafeInteger(frame) && Number.isSafeInteger(place);
}

function isReplay(value: unknown): value is Replay {
  const { step, timer, time, type, parks } = Object(value) as Partial<Replay>, orNone = (text: unknown): boolean => text === null || typeof text === "string";
  return Number.isSafeInteger(step) && orNone(timer) && typeof time === "number" && orNone(type) && orNone(parks);
}

/** Most characters of a text that stands for what cannot be kept whole. */
const shortText = 8_192;

/** Something of any data that can be kept: for a person to look at. */
export function textOf(data: unknown): string {
  try {
    return (JSON.stringify(data, (_name, value: unknown) => (typeof value === "bigint" ? String(value) : value)) ?? String(data)).slice(0, shortText);
  } catch {
    return String(data).slice(0, shortText);
  }
}

/** With its data, and what the error says, cut to what any message can hold. */
export function shortened(letter: DeadLetter): DeadLetter {
  const { error: { name, message, stack }, event, replay: _, ...rest } = letter;
  return {
    ...rest, message: letter.message.slice(0, shortText), error: { name, message: message.slice(0, shortText), stack: stack.slice(0, shortText) },
    event: { ...event, data: typeof event.data === "string" ? event.data.slice(0, shortText) : textOf(event.data) },
  };
}
