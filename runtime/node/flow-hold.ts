// A node's part in a repair over several nodes (P31): the flow is closed here and stays closed, and whoever repairs it reads its journals,
// for as long as it keeps asking. A hold ends by itself: a repair that was killed leaves nothing behind.
import type { Broker } from "../broker/broker.ts";
import type { Clock } from "../event/clock.ts";
import { MillraceError } from "../event/errors.ts";
import { rangeOf } from "../journal/keys.ts";
import type { Stores } from "../journal/store.ts";
import type { RunningNode } from "./node.ts";
import type { Question } from "./questions.ts";
import { type Refusal, refusalOf } from "./refusal.ts";
import type { RunNote, RunNotes } from "./run-note.ts";
import { readRun } from "./run-record.ts";

/** A hold that is not asked for again ends after so long, in ms. */
export const holdMs = 60_000;
/** Of a journal at a time, at most; and no more than an answer can hold as text. */
const pageBytes = 4 * 1024 * 1024, answerRoom = 64 * 1024;
/** Of a journal what tells of records: version, damage, head, what is folded, records. State is not asked for. */
const letters = ["b", "f", "h", "r", "v"] as const;

export interface HoldOptions {
  readonly node: string;
  readonly broker: Broker;
  readonly clock: Clock;
  readonly stores: Stores;
  readonly notes: RunNotes;
  /** Stops what is left of a flow here, in order, and lets go of its journals. */
  readonly close: (flow: string) => Promise<void>;
  /** It is not held any more. */
  readonly open: (flow: string) => void;
}

/** Where a page of a journal ends: its next entry, or so many bytes of its value. */
export interface PagePlace {
  /** Base64. */
  readonly key: string;
  readonly skip: number;
}

/** Entries of a journal, key and value in base64. The value of the last one may go on where `next` says. */
export interface JournalPage {
  readonly isThere: boolean;
  readonly entries: readonly (readonly [key: string, value: string])[];
  readonly next?: PagePlace;
}

export type HoldAnswer = { readonly note: RunNote | null } | Refusal;

interface Hold {
  readonly by: string;
  /** Monotonic ms. */
  until: number;
  /** The flow is closed here. */
  closed: Promise<void>;
}

export class FlowHolds {
  readonly #options: HoldOptions;
  readonly #holds = new Map<string, Hold>();

  constructor(options: HoldOptions) {
    this.#options = options;
  }

  isHeld(flow: string): boolean {
    return this.#of(flow) !== undefined;
  }

  /** Gives what this node knows of the flow's run, once that is closed here. @throws MillraceError UNDER_REPAIR by somebody else, and what closing it throws: then it is not held */
  async hold(flow: string, by: string): Promise<RunNote | undefined> {
    const { clock, notes } = this.#options, known = this.#of(flow);
    if (known !== undefined && known.by !== by) throw new MillraceError("UNDER_REPAIR", flow, `Flow "${flow}" is being repaired by ${known.by} already`, "Wait for that; a repair that was killed is forgotten within a minute.");
    const hold = known ?? this.#begin(flow, by);
    hold.until = clock.monotonic() + holdMs;
    await hold.closed;
    hold.until = clock.monotonic() + holdMs;
    return await notes.read(flow);
  }

  #begin(flow: string, by: string): Hold {
    const { clock, close } = this.#options, hold: Hold = { by, until: clock.monotonic() + holdMs, closed: Promise.resolve() };
    this.#holds.set(flow, hold);
    hold.closed = close(flow).catch((error: unknown) => {
      this.#end(flow, hold);
      throw error;
    });
    this.#watch(flow, hold);
    return hold;
  }

  /** Who held it may have been killed: then it is opened again from here. */
  #watch(flow: string, hold: Hold): void {
    const { clock } = this.#options;
    clock.after(Math.max(0, hold.until - clock.monotonic()), () => {
      if (this.#holds.get(flow) !== hold) return;
      if (hold.until > clock.monotonic()) return this.#watch(flow, hold);
      this.#end(flow, hold);
    });
  }

  #end(flow: string, hold: Hold): void {
    if (this.#holds.get(flow) !== hold) return;
    this.#holds.delete(flow);
    this.#options.open(flow);
  }

  /** @throws MillraceError NOT_HELD, JOURNAL_NAME, and what opening a journal throws */
  async journal(flow: string, by: string, name: string, from: PagePlace | undefined): Promise<JournalPage> {
    const { broker, node, stores } = this.#options, hold = this.#of(flow);
    if (hold?.by !== by || !name.startsWith(`${flow}/`)) throw new MillraceError("NOT_HELD", node, `Flow "${flow}" is not held on this node for ${by}`, "Ask for that first; repair it again.");
    hold.until = this.#options.clock.monotonic() + holdMs;
    if (!(await stores.exists(name))) return { isThere: false, entries: [] };
    const store = await stores.open(name), entries: [string, string][] = [], start = from === undefined ? Buffer.alloc(0) : Buffer.from(from.key, "base64");
    let left = Math.min(pageBytes, Math.floor(((broker.maxPayload - answerRoom) * 3) / 4)), skip = from?.skip ?? 0;
    try {
      for (const letter of letters) {
        const [gte, lt] = rangeOf(letter);
        if (Buffer.compare(start, lt) >= 0) continue;
        for await (const [key, value] of store.range(Buffer.compare(start, gte) > 0 ? start : gte, lt)) {
          const its = text(key), rest = Buffer.from(value.buffer, value.byteOffset + skip, value.byteLength - skip);
          if (left <= 0) return { isThere: true, entries, next: { key: its, skip } };
          entries.push([its, rest.subarray(0, left).toString("base64")]);
          if (rest.length > left) return { isThere: true, entries, next: { key: its, skip: skip + left } };
          left -= rest.length + its.length + entryRoom;
          skip = 0;
        }
      }
      return { isThere: true, entries };
    } finally {
      await store.close();
    }
  }

  /** `repaired`: the flow's key may be another than this node knew. None that is held by `by` is no error. @throws MillraceError UNREACHABLE */
  async letGo(flow: string, by: string, repaired: boolean): Promise<void> {
    const { broker, notes } = this.#options, hold = this.#of(flow);
    if (hold?.by !== by) return;
    if (repaired) {
      const kept = await readRun(broker.keys, flow), note = await notes.read(flow);
      if (kept !== undefined && kept.record.token === note?.token) await notes.write(flow, kept);
    }
    this.#end(flow, hold);
  }

  #of(flow: string): Hold | undefined {
    const hold = this.#holds.get(flow);
    return hold === undefined || hold.until > this.#options.clock.monotonic() ? hold : undefined;
  }
}

/** What an entry costs beside its bytes. */
const entryRoom = 16;

const text = (key: Uint8Array): string => Buffer.from(key.buffer, key.byteOffset, key.byteLength).toString("base64");

/** `hold`, `journal`, `let go`: orders, so only who may operate, or runs nodes, gives them. */
export function answerHolds({ name: node, orders }: Pick<RunningNode, "name" | "orders">, holds: FlowHolds): void {
  const answer = (what: string, give: (flow: string, by: string, question: Question) => Promise<object>): void => {
    orders.answer(what, async (question) => {
      const { flow, by } = question;
      if (typeof flow !== "string" || typeof by !== "string") throw new MillraceError("QUESTION_UNKNOWN", node, `an order to ${what} names the flow and who repairs it`, "Ask with the millrace of the same version.");
      try {
        return await give(flow, by, question);
      } catch (error) {
        return refusalOf(error);
      }
    });
  };
  answer("hold", async (flow, by): Promise<HoldAnswer> => ({ note: (await holds.hold(flow, by)) ?? null }));
  answer("journal", (flow, by, { journal, from }) => holds.journal(flow, by, String(journal), placeOf(from)));
  answer("let go", async (flow, by, { repaired }) => {
    await holds.letGo(flow, by, repaired === true);
    return {};
  });
}

function placeOf(from: unknown): PagePlace | undefined {
  const { key, skip } = (from ?? {}) as Partial<PagePlace>;
  return typeof key === "string" && Number.isSafeInteger(skip) && (skip as number) >= 0 ? { key, skip: skip as number } : undefined;
}
