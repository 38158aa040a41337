// A warm copy: the journal of an actor that runs on another node, kept up to its log as that grows. Who starts the actor here has only the last
// few records to read. Claims nothing (I1) and judges nothing: it is a prefix of the log, like any journal (I4), and recovery judges it. Its disk
// is bounded as the owner's is: it folds the owner's snapshots, and lets go of the records that the log lets go of.
import { crc32 } from "node:zlib";
import { pause } from "../event/clock.ts";
import { asError, MillraceError } from "../event/errors.ts";
import { checkBody } from "./body-form.ts";
import { type Entry, Journal } from "./journal.ts";
import { logBatches } from "./log-batches.ts";
import { isUsed, loadFromLog, type ReadingOptions } from "./recovery.ts";
import { Assembler, type Body, decodeRecord, isFinal } from "./record.ts";
import type { Store } from "./store.ts";
import { foldSnapshot } from "./warm-fold.ts";

/**
 * - `waiting`: for a log, or for NATS. - `loading`: it is behind. - `warm`: it has all that the log has. - `over`: nobody writes to that log any more.
 * - `kept`: the log does not fit it, which may prove a loss: it is left as it is, for recovery and repair.
 */
export type WarmState = "waiting" | "loading" | "warm" | "over" | "kept";

export interface WarmFigures {
  readonly state: WarmState;
  /** Number of its newest record; 0: none. */
  readonly n: number;
  /** Read from the log and its snapshots since it was begun. */
  readonly messages: number;
  readonly bytes: number;
}

export interface WarmCopyOptions extends Omit<ReadingOptions, "signal" | "onWait" | "took"> {
  /** Loads and folds of many copies come after each other; what it gives ends a turn. Following does not wait for it. */
  readonly turn: () => Promise<() => void>;
  /** `state` is another. */
  readonly onState: () => void;
}

/** What failed is begun again after so long, doubled each time. In ms. */
const againMs = { min: 250, max: 5_000 } as const;
/** The log begins after the journal's head: it was purged meanwhile. */
const tooOld = Symbol("too old");

export class WarmCopy {
  readonly #options: WarmCopyOptions;
  readonly #stop = new AbortController();
  readonly #done: Promise<void>;
  #state: WarmState = "waiting";
  #n = 0;
  #messages = 0;
  #bytes = 0;

  /** Begins at once. */
  constructor(options: WarmCopyOptions) {
    this.#options = options;
    this.#done = this.#run();
  }

  get figures(): WarmFigures {
    return { state: this.#state, n: this.#n, messages: this.#messages, bytes: this.#bytes };
  }

  /** Resolves when its journal is closed: then the actor may be started here. Never rejects. */
  stop(): Promise<void> {
    this.#stop.abort();
    return this.#done;
  }

  get #reading(): ReadingOptions & { readonly claim: undefined } {
    return { ...this.#options, signal: this.#stop.signal, claim: undefined, took: (bytes) => this.#took(bytes) };
  }

  #took(bytes: number): void {
    this.#messages++;
    this.#bytes += bytes;
  }

  #is(state: WarmState): void {
    if (this.#state === state) return;
    this.#state = state;
    this.#options.onState();
  }

  async #run(): Promise<void> {
    const { clock } = this.#options, { signal } = this.#stop;
    for (let failures = 0; !signal.aborted; ) {
      try {
        const begun = this.#n;
        const end = await this.#once();
        if (end !== "again") return this.#is(end);
        failures = this.#n > begun ? 0 : failures + 1;
      } catch (thrown) {
        const error = asError(thrown);
        // Damaged, or of a newer program: whoever starts the actor here deals with it.
        if (error instanceof MillraceError && ["JOURNAL_BROKEN", "JOURNAL_CORRUPT", "JOURNAL_NEWER", "RECORD_NEWER", "BYTES_REFUSED"].includes(error.code)) return this.#is("kept");
        failures++;
      }
      this.#is("waiting");
      await pause(Math.min(againMs.max, againMs.min * 2 ** Math.min(failures, 10)), { clock, signal });
    }
  }

  async #once(): Promise<"again" | "over" | "kept"> {
    const { stores, store: name, where } = this.#options;
    let store = await stores.open(name);
    try {
      let journal = new Journal(store, where);
      const fits = await this.#fits(journal);
      if (fits === "kept") return "kept";
      if (fits === tooOld || (journal.head === undefined && (await isUsed(store)))) {
        store = await this.#anew(store);
        journal = new Journal(store, where);
      }
      this.#n = journal.head?.n ?? 0;
      if (journal.head === undefined && !(await this.#load(journal))) return "again";
      const end = await this.#follow(journal);
      if (end !== tooOld) return end;
      store = await this.#anew(store);
      return "again";
    } finally {
      await store.close();
    }
  }

  async #anew(store: Store): Promise<Store> {
    const { stores, store: name } = this.#options;
    await store.close();
    await stores.remove(name);
    this.#n = 0;
    return await stores.open(name);
  }

  async #fits(journal: Journal): Promise<"good" | "kept" | typeof tooOld> {
    const { log } = this.#options, { head } = journal;
    if (head === undefined) return "good";
    const there = await log.get(head.seq);
    if (there !== undefined) return crc32(there.data) === head.crc ? "good" : "kept";
    return (await log.bounds()).first > head.seq ? tooOld : "kept";
  }

  /** From the newest snapshot. `false`: there is nothing yet. */
  async #load(journal: Journal): Promise<boolean> {
    const { log, turn } = this.#options, end = (await log.last())?.seq;
    if (end === undefined) return false;
    this.#is("loading");
    const leave = await turn();
    try {
      if (this.#stop.signal.aborted) return false;
      await loadFromLog(this.#reading, journal, end);
    } finally {
      leave();
    }
    this.#n = journal.head?.n ?? 0;
    return true;
  }

  async #follow(journal: Journal): Promise<"again" | "over" | "kept" | typeof tooOld> {
    const { log, where } = this.#options, { signal } = this.#stop, assembler = new Assembler(), messages = logBatches(log, (journal.head?.seq ?? 0) + 1, signal);
    // What the journal ends with may be the first parts of a record; that they are whole again needs no more than its rest.
    let end: number | undefined;
    for await (const its of messages) {
      end ??= (await log.last())?.seq ?? 0;
      const batch: Entry[] = [];
      let snapshot: Body | undefined, isOver = false;
      for (const { seq, data } of its) {
        const record = decodeRecord(data), expected = (batch.at(-1)?.n ?? journal.head?.n ?? 0) + 1;
        // Purged before it came here: the snapshot that it was purged for holds it.
        if (record.n > expected) return tooOld;
        if (record.n < expected) return "kept";
        batch.push({ n: record.n, seq, bytes: data });
        this.#took(data.length);
        const whole = assembler.take(record);
        if (whole?.kind === "snapshot" && whole.body.snapshot !== undefined) {
          checkBody(where, whole);
          snapshot = whole.body;
        }
        isOver = whole !== undefined && isFinal(whole);
      }
      if (batch.length > 0) {
        await journal.write(batch);
        this.#n = journal.head?.n ?? 0;
      }
      if (snapshot !== undefined) await this.#fold(journal, snapshot);
      if (isOver) return "over";
      if (batch.length === 0 && (journal.head?.seq ?? 0) >= end) this.#is("warm");
    }
    return "again";
  }

  async #fold(journal: Journal, body: Body): Promise<void> {
    const { turn, log } = this.#options, leave = await turn();
    try {
      if (this.#stop.signal.aborted || !(await foldSnapshot(this.#reading, journal, body))) return;
      // A record stays as long as in the log, and as it is not folded.
      const { first } = await log.bounds(), oldest = await log.get(first);
      if (oldest !== undefined) await journal.trim(Math.min(decodeRecord(oldest.data).n, (body.snapshot?.n ?? 0) + 1));
    } finally {
      leave();
    }
  }
}
