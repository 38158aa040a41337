// A stream of the broker in memory: what the server keeps. Synchronous; the network is memory-broker.ts.
import type { Appended, Stored, StreamSpec } from "../broker/broker.ts";
import { matches } from "../broker/subject.ts";

interface Message {
  readonly subject: string;
  readonly data: Uint8Array;
  readonly at: number;
}

/** Who reads a stream as it grows. */
export interface Watcher {
  /** Something was appended. */
  grown(): void;
  /** The stream was deleted or rolled back: the server knows this reader no longer. */
  lost(): void;
}

export class MemoryStream {
  spec: StreamSpec;
  readonly watchers = new Set<Watcher>();
  readonly #now: () => number;
  readonly #messages = new Map<number, Message>();
  // Of each subject its sequences, oldest first: compare-and-set and the limit per subject ask for them.
  readonly #sequences = new Map<string, number[]>();
  #first = 1;
  #last = 0;

  constructor(spec: StreamSpec, now: () => number) {
    this.spec = spec;
    this.#now = now;
    this.#first = spec.firstSequence ?? 1;
    this.#last = this.#first - 1;
  }

  /** First and last sequence; of an empty stream `first` = `last` + 1. */
  bounds(): { readonly first: number; readonly last: number } {
    this.#expire();
    return { first: this.#first, last: this.#last };
  }

  append(subject: string, data: Uint8Array, expected: number | undefined): Appended {
    this.#expire();
    // As the server binds subjects to streams: what no stream listens to finds no stream.
    if (!matches(this.spec.subject, subject)) return "missing";
    const of = this.#sequences.get(subject) ?? [];
    if (expected !== undefined && expected !== (of.at(-1) ?? 0)) return "refused";
    if (this.spec.maxMessages !== undefined && this.#messages.size >= this.spec.maxMessages) return "full";
    const seq = ++this.#last;
    this.#messages.set(seq, { subject, data: data.slice(), at: this.#now() });
    of.push(seq);
    this.#sequences.set(subject, of);
    if (this.spec.maxPerSubject !== undefined && of.length > this.spec.maxPerSubject) this.#drop(of[0] as number);
    for (const watcher of [...this.watchers]) watcher.grown();
    return seq;
  }

  at(seq: number): Stored | undefined {
    this.#expire();
    const message = this.#messages.get(seq);
    return message && { seq, data: message.data.slice(), subject: message.subject };
  }

  lastOf(subject: string): Stored | undefined {
    this.#expire();
    let last: number | undefined = this.#sequences.get(subject)?.at(-1);
    if (/[*>]/.test(subject)) for (const [of, sequences] of this.#sequences) if (matches(subject, of)) last = Math.max(last ?? 0, sequences.at(-1) as number);
    return last === undefined ? undefined : this.at(last);
  }

  /** The first message of a subject, or of a pattern, from a sequence on. */
  next(subject: string, from: number): Stored | undefined {
    this.#expire();
    for (let seq = Math.max(from, this.#first); seq <= this.#last; seq++) {
      const message = this.#messages.get(seq);
      if (message && matches(subject, message.subject)) return { seq, data: message.data.slice() };
    }
    return undefined;
  }

  /** Removes what is before a sequence. */
  purge(before: number): void {
    for (let seq = this.#first; seq < before && seq <= this.#last; seq++) this.#drop(seq);
  }

  /** Lets it hold at least so many messages. */
  raise(maxMessages: number): void {
    if (this.spec.maxMessages !== undefined) this.spec = { ...this.spec, maxMessages: Math.max(maxMessages, this.spec.maxMessages) };
  }

  /** Loses its tail, as a power loss with lazy fsync does: sequences above `to` will be given out again. */
  truncate(to: number): void {
    for (let seq = this.#last; seq > to; seq--) this.#drop(seq);
    this.#last = Math.min(this.#last, Math.max(to, 0));
    this.#first = Math.min(this.#first, this.#last + 1);
    this.dismiss();
  }

  /** Forgets who reads it. */
  dismiss(): void {
    const watchers = [...this.watchers];
    this.watchers.clear();
    for (const watcher of watchers) watcher.lost();
  }

  #drop(seq: number): void {
    const message = this.#messages.get(seq);
    if (message) {
      this.#messages.delete(seq);
      const of = this.#sequences.get(message.subject) as number[];
      if (of.length === 1) this.#sequences.delete(message.subject);
      else of.splice(of.indexOf(seq), 1);
    }
    while (this.#first <= this.#last && !this.#messages.has(this.#first)) this.#first++;
  }

  #expire(): void {
    if (this.spec.maxAgeMs === undefined) return;
    const oldest = this.#now() - this.spec.maxAgeMs;
    for (const [seq, message] of this.#messages) {
      if (message.at >= oldest) return;
      this.#drop(seq);
    }
  }
}
