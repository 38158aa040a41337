// What the log of an actor says: that it is one chain of one writer at a time (I1), and what its records come to, one after the
// other (I4). From the records, from the newest snapshot alone, or from a journal: all three must be the same.
import { unseal } from "../../runtime/actor/change.ts";
import type { Stored } from "../../runtime/broker/broker.ts";
import { encode } from "../../runtime/event/codec.ts";
import { sameTerm } from "../../runtime/event/term.ts";
import { Journal } from "../../runtime/journal/journal.ts";
import { rangeOf, stateKey } from "../../runtime/journal/keys.ts";
import { Assembler, type Body, type CommitRecord, decodeRecord } from "../../runtime/journal/record.ts";
import type { Store } from "../../runtime/journal/store.ts";

/** What is wrong with a whole log. */
export function chainWrong(log: readonly Stored[]): string | undefined {
  let before: { readonly record: CommitRecord; readonly seq: number } | undefined, claim: CommitRecord | undefined;
  for (const { seq, data } of log) {
    const record = decodeRecord(data), { kind, n, term, previous } = record, at = `record ${n} (${kind}) at ${seq}`;
    if (n !== (before?.record.n ?? 0) + 1) return `${at} follows record ${before?.record.n ?? 0}`;
    if (previous !== (before?.seq ?? 0)) return `${at} extends ${previous}, not ${before?.seq ?? 0}`;
    if (kind === "claim") {
      if (term[0] !== (claim?.term[0] ?? 0) + 1) return `${at} claims with term ${term[0]} after ${claim?.term[0] ?? 0}`;
      claim = record;
    } else if (claim === undefined || !sameTerm(term, claim.term)) return `${at} has another term than the newest claim`;
    before = { record, seq };
  }
  return undefined;
}

export type Fields = Map<string, string>;

const packed = (value: unknown): string => Buffer.from(encode(value)).toString("latin1");
const nameOf = (key: Uint8Array): string => Buffer.from(key).toString("latin1");

function apply(fields: Fields, body: Body): void {
  const put = (name: string, value: unknown) => void (value === undefined ? fields.delete(name) : fields.set(name, packed(value)));
  for (const [operator, version, key, part, ...value] of body.state ?? []) put(nameOf(stateKey(operator, key, part ?? undefined)), value.length === 0 ? undefined : [version, value[0]]);
  for (const [operator, key, name, time, wall, stays] of body.timers ?? []) put(nameOf(Buffer.concat([Buffer.from("t"), stateKey(operator, key, undefined).subarray(1), Buffer.from(name)])), time === undefined ? undefined : [operator, key, name, time, wall, stays]);
  for (const [id, waiting] of body.waiting ?? []) put(nameOf(Buffer.from(`w${id}`)), waiting);
  for (const [id, event] of body.held ?? []) put(nameOf(id), event);
  for (const [input, ...rest] of body.inputs ?? []) put(`input ${input}`, rest);
  for (const [input, from, its, ...rest] of body.cursors ?? []) put(`cursor ${input} ${from} ${its}`, rest);
  for (const [input, from, its, ...rest] of body.channels ?? []) put(`channel ${input} ${from} ${its}`, rest);
  for (const [target, seq, term] of body.sent ?? []) put(`sent ${String(target)}`, [seq, term]);
  for (const [target, ...rest] of body.settled ?? []) put(`settled ${String(target)}`, rest);
  for (const [split, ...rest] of body.source ?? []) put(`split ${split}`, rest);
  for (const name of ["own", "sink", "counts"] as const) if (body[name] !== undefined) put(name, body[name]);
}

function applyRecord(fields: Fields, { kind, term, body }: CommitRecord): void {
  if (kind !== "snapshot") apply(fields, { ...body, sent: [...(body.sent ?? []), ...(body.out ?? []).map(([target, seq]) => [target, seq, term] as const)] });
}

/** Records 1 to n. */
export function foldOf(log: readonly Stored[]): Fields {
  const fields: Fields = new Map(), assembler = new Assembler();
  for (const { data } of log) {
    const record = assembler.take(decodeRecord(data));
    if (record !== undefined) applyRecord(fields, record);
  }
  return fields;
}

/** What a store holds: folded, and the records after that. */
export async function journalOf(store: Store, where: string): Promise<Fields> {
  const journal = new Journal(store, where), folded = journal.folded() as { n: number; body: Body } | undefined, first = await journal.first();
  const fields: Fields = new Map(), assembler = new Assembler();
  if (folded !== undefined) {
    for (const letter of "stwo") {
      for await (const [key, value] of store.range(...rangeOf(letter))) {
        const entry = unseal(value, where) as unknown[];
        // The place of a waiting event among those of its key stands in no record.
        fields.set(nameOf(key), packed(letter === "w" ? entry.slice(1) : entry));
      }
    }
    apply(fields, folded.body);
  }
  if (first !== undefined) {
    for await (const { bytes } of journal.read(first)) {
      const record = assembler.take(decodeRecord(bytes));
      if (record !== undefined && record.n > (folded?.n ?? 0)) applyRecord(fields, record);
    }
  }
  return fields;
}

/** In what two of them differ. */
export function differences(found: Fields, expected: Fields): readonly string[] {
  const shown = (text: string | undefined) => (text ?? "nothing").replaceAll(/[^ -~]/g, (c) => `\\${c.charCodeAt(0).toString(16)}`);
  return [...new Set([...found.keys(), ...expected.keys()])].filter((name) => found.get(name) !== expected.get(name))
    .map((name) => `${shown(name)} is ${shown(found.get(name))}, not ${shown(expected.get(name))}`);
}
