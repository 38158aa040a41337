// What the log of an actor says: that it is one chain of one writer at a time (I1), and what its records come to, one after the
// other (I4). From the records, from the newest snapshot and the tail, or from a journal: all must be the same.
import { unseal } from "../../runtime/actor/change.ts";
import { decode, encode } from "../../runtime/event/codec.ts";
import { sameTerm } from "../../runtime/event/term.ts";
import type { Entry, Journal } from "../../runtime/journal/journal.ts";
import { rangeOf, stateKey } from "../../runtime/journal/keys.ts";
import { Assembler, type Body, type CommitRecord, decodeRecord } from "../../runtime/journal/record.ts";

/** A record and its sequence in the log. */
export interface Logged {
  readonly seq: number;
  readonly record: CommitRecord;
}

/** What is wrong with a whole log: records chain, terms only rise, and a record's term is that of the newest claim. */
export function chainWrong(log: readonly Logged[]): string | undefined {
  let before: Logged | undefined, claim: CommitRecord | undefined;
  for (const logged of log) {
    const { seq, record } = logged, { kind, n, term, previous } = record, at = `record ${n} (${kind}) at ${seq}`;
    if (n !== (before?.record.n ?? 0) + 1) return `${at} follows record ${before?.record.n ?? 0}`;
    if (previous !== (before?.seq ?? 0)) return `${at} extends ${previous}, not ${before?.seq ?? 0}`;
    if (kind === "claim") {
      if (term[0] !== (claim?.term[0] ?? 0) + 1) return `${at} claims with term ${term[0]} after ${claim?.term[0] ?? 0}`;
      claim = record;
    } else if (claim === undefined || !sameTerm(term, claim.term)) return `${at} has another term than the newest claim`;
    before = logged;
  }
  return undefined;
}

const packed = (value: unknown): string => (encode(value) as Buffer).toString("latin1");
const shown = (text: string | undefined): string => (text ?? "nothing").replaceAll(/[^ -~]/g, (c) => `\\${c.charCodeAt(0).toString(16)}`);

/** What the code of an operator does with a value of an older version. */
export type Migrate = (value: unknown, from: number, to: number) => unknown;

function inOneShape(name: string, is: string | undefined, other: string | undefined, migrate: Migrate | undefined): readonly [string | undefined, string | undefined] {
  if (migrate === undefined || is === other || is === undefined || other === undefined || !name.startsWith("s")) return [is, other];
  const both = [is, other].map((text) => decode(Buffer.from(text, "latin1")) as [number, unknown]), newest = Math.max(...both.map(([version]) => version));
  return both.map(([version, value]) => packed([newest, version === newest ? value : migrate(value, version, newest)])) as [string, string];
}

/** The fields of an actor as a fold gives them. Values are msgpack, as text of one byte a character. */
export class Fields {
  readonly #values = new Map<string, string>();
  /** A claim says k anew; where nothing is said nothing was tried. */
  #tries: NonNullable<Body["tries"]> = { k: 0, events: [] };

  /** An entry as a store or a chunk holds it; null: removed. */
  stored(key: Uint8Array, value: Uint8Array | null, where: string): void {
    if (value === null) return this.#entry(key, undefined);
    const entry = unseal(value, where) as unknown[];
    // The place of a waiting event among those of its key stands in no record.
    this.#entry(key, key[0] === 119 ? entry.slice(1) : entry);
  }

  #entry(key: Uint8Array, value: unknown): void {
    this.#put(Buffer.from(key.buffer, key.byteOffset, key.length).toString("latin1"), value);
  }

  #put(name: string, value: unknown): void {
    if (value === undefined) this.#values.delete(name);
    else this.#values.set(name, packed(value));
  }

  apply(body: Body): void {
    for (const [operator, version, key, part, ...value] of body.state ?? []) this.#entry(stateKey(operator, key, part ?? undefined), value.length === 0 ? undefined : [version, value[0]]);
    for (const [operator, key, name, time, wall, stays] of body.timers ?? []) {
      this.#entry(Buffer.concat([Buffer.from("t"), stateKey(operator, key, undefined).subarray(1), Buffer.from(name)]), time === undefined ? undefined : [operator, key, name, time, wall, stays]);
    }
    for (const [id, waiting] of body.waiting ?? []) this.#entry(Buffer.from(`w${id}`), waiting);
    for (const [id, event] of body.held ?? []) this.#entry(id, event);
    for (const [input, ...rest] of body.inputs ?? []) this.#put(`input ${input}`, rest);
    for (const [input, from, its, ...rest] of body.cursors ?? []) this.#put(`cursor ${input} ${from} ${its}`, rest);
    for (const [input, from, its, ...rest] of body.channels ?? []) this.#put(`channel ${input} ${from} ${its}`, rest);
    for (const [input, stage, its] of body.floors ?? []) {
      this.#put(`floor ${input} ${stage}`, its);
      this.#forget(input, stage, its);
    }
    for (const [stage, ...rest] of body.routing ?? []) this.#put(`routing ${stage}`, rest);
    for (const [target, seq, term] of body.sent ?? []) this.#put(`sent ${String(target)}`, [seq, term]);
    for (const [target, ...rest] of body.settled ?? []) this.#put(`settled ${String(target)}`, rest);
    for (const [split, ...rest] of body.source ?? []) this.#put(`split ${split}`, rest);
    for (const name of ["own", "sink", "targets", "counts"] as const) if (body[name] !== undefined) this.#put(name, body[name]);
    if (body.tries !== undefined) this.#tries = body.tries;
    if (body.node !== undefined) this.#tries = { ...this.#tries, k: body.k ?? 0 };
  }

  // Of a stage's lower generations nothing is kept.
  #forget(input: number, stage: string, generation: string): void {
    const ordinal = (of: string): number => Number(of.slice(of.lastIndexOf("-") + 1));
    for (const name of this.#values.keys()) {
      const [, its, from, of] = /^(?:cursor|channel) (\d+) (\S+) (\S+)$/.exec(name) ?? [];
      if (its === String(input) && from?.slice(0, from.lastIndexOf("/")) === stage && ordinal(of as string) < ordinal(generation)) this.#values.delete(name);
    }
  }

  applySnapshot(body: Body, chunk: (seq: number) => Uint8Array | undefined): void {
    for (const [key, value] of body.snapshot?.entries ?? []) this.stored(key, value, "a snapshot");
    let pieces: Uint8Array[] = [];
    for (const [seq, , entries] of body.snapshot?.chunks ?? []) {
      pieces.push(chunk(seq) as Uint8Array);
      if (entries === 0) continue;
      for (const [key, value] of decode(Buffer.concat(pieces)) as [Uint8Array, Uint8Array | null][]) this.stored(key, value, "a snapshot");
      pieces = [];
    }
    this.apply(body);
  }

  /** What it sent to generations that are over is forgotten at some time. */
  forgetRetired(isRetired: (stage: string, generation: string) => boolean): this {
    for (const name of this.#values.keys()) {
      const [, stage, generation] = /^(?:sent|settled) ([^,]+),([^,]+),/.exec(name) ?? [];
      if (stage !== undefined && generation !== undefined && isRetired(stage, generation)) this.#values.delete(name);
    }
    return this;
  }

  applyRecord({ kind, term, body }: CommitRecord): void {
    if (kind !== "snapshot") this.apply({ ...body, sent: [...(body.sent ?? []), ...(body.out ?? []).map(([target, seq]) => [target, seq, term] as const)] });
  }

  /** In what it differs from what is expected. What replay brought into the shape of a newer code is folded as that, and no record says so: `migrate` does the same. */
  differences(expected: Fields, migrate?: Migrate): readonly string[] {
    const names = new Set([...this.#values.keys(), ...expected.#values.keys()]), lines: string[] = [];
    for (const name of names) {
      const [is, other] = inOneShape(name, this.#values.get(name), expected.#values.get(name), migrate);
      if (is !== other) lines.push(`${shown(name)} is ${shown(is)}, not ${shown(other)}`);
    }
    const tries = JSON.stringify(this.#tries), others = JSON.stringify(expected.#tries);
    return tries === others ? lines : [...lines, `tries are ${tries}, not ${others}`];
  }
}

/** Records 1 to n. Of an actor of a later generation the first one after its claims is the snapshot that it began with. */
export function foldOf(log: readonly Logged[], chunk: (seq: number) => Uint8Array | undefined = () => undefined): Fields {
  const fields = new Fields(), assembler = new Assembler();
  let begun = false;
  for (const { record: part } of log) {
    const record = assembler.take(part);
    if (record === undefined) continue;
    if (!begun && record.kind === "snapshot") fields.applySnapshot(record.body, chunk);
    begun ||= record.kind !== "claim";
    fields.applyRecord(record);
  }
  return fields;
}

/** What a journal holds: folded, and the records after that. */
export async function journalOf(journal: Journal, where: string, recordOf = ({ bytes }: Entry): CommitRecord => decodeRecord(bytes)): Promise<Fields> {
  const folded = journal.folded() as { n: number; body: Body } | undefined, first = await journal.first();
  const fields = new Fields(), assembler = new Assembler();
  if (folded !== undefined) {
    for (const letter of "stwo") for await (const [key, value] of journal.store.range(...rangeOf(letter))) fields.stored(key, value, where);
    fields.apply(folded.body);
  }
  if (first === undefined) return fields;
  for await (const entry of journal.read(first)) {
    const record = assembler.take(recordOf(entry));
    if (record !== undefined && record.n > (folded?.n ?? 0)) fields.applyRecord(record);
  }
  return fields;
}
