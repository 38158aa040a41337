// Which actor of the next generation an entry of the folded space goes on with (PROTOCOL 11): that of its key; without a key, by the
// partition that it is in. Pure.
import { type Key, isKey } from "../event/event.ts";
import { partitionOf } from "../event/partition.ts";
import { readStateKey, stateKey } from "../journal/keys.ts";
import type { HeldEvent } from "../journal/record.ts";
import { unseal } from "./change.ts";
import { lettersOperator } from "./state.ts";

export class Sections {
  readonly #where: string;
  readonly #partition: number;
  readonly count: number;
  readonly #counted: { all: number; moved: number };

  /** @param partition of the actor whose entries they are; `count`: actors of the next generation; `counted`: entries, and those that change their partition */
  constructor(where: string, partition: number, count: number, counted = { all: 0, moved: 0 }) {
    this.#counted = counted;
    this.#where = where;
    this.#partition = partition;
    this.count = count;
  }

  /** An entry is put into its section. */
  tell(q: number): void {
    this.#counted.all++;
    if (q !== this.#partition) this.#counted.moved++;
  }

  /** `undefined`: with all of them. @throws MillraceError JOURNAL_BROKEN */
  of(key: Uint8Array, value: Uint8Array): number | undefined {
    // Which letters were settled: they may be asked for again, of whoever has their keys.
    if (isMark(key)) return undefined;
    const its = keyOf(key, value, this.#where);
    return its === null ? this.#partition % this.count : partitionOf(its, this.count);
  }
}

const isMark = (key: Uint8Array): boolean => letter(key) === "s" && key[1] === lettersOperator;
const letter = (key: Uint8Array): string => String.fromCharCode(key[0] as number);

function keyOf(key: Uint8Array, value: Uint8Array, where: string): Key | null {
  switch (letter(key)) {
    case "s": return readStateKey(key).key;
    case "t": {
      const [, its] = unseal(value, where) as [number, Key];
      return isKey(its) ? its : null;
    }
    case "w": return (unseal(value, where) as [number, number, number, HeldEvent])[3][5][2];
    case "o": return (unseal(value, where) as HeldEvent)[5][2];
    default: return null;
  }
}

/** What an entry says is tried again, or may be: the ids under which tries are counted. */
export function triedAs(key: Uint8Array, value: Uint8Array, where: string): string | undefined {
  switch (letter(key)) {
    case "t": {
      const [operator, its, name, time] = unseal(value, where) as [number, Key, string, number];
      return `timer ${operator} ${JSON.stringify(its)} ${name} ${time}`;
    }
    case "w": return Buffer.from(key).subarray(1).toString();
    case "o": {
      const [from, generation, , n, , row] = unseal(value, where) as HeldEvent;
      return `${from}@${generation}.${n}.${row[0]}`;
    }
    default: return undefined;
  }
}

const earlier = 2 ** -40, apart = 2 ** -20;

/**
 * The key under which an entry goes on. Marks of settled letters name their owner ("f/stage/0@k3v9x2ab-1") from then on. Held events sort by their numbers on their channel, which begin anew:
 * those from before sort first, and two of different actors may not have one key. `isThere`: whether a key is taken.
 */
export function inheritedKey(key: Uint8Array, owner: string, isThere: (key: Uint8Array) => boolean): Uint8Array {
  if (isMark(key)) {
    const { key: its, part } = readStateKey(key);
    return typeof its === "string" ? key : stateKey(lettersOperator, `${owner} ${its}`, part);
  }
  if (letter(key) !== "o") return key;
  const its = Buffer.from(key), at = its.length - 16;
  its.writeDoubleBE(its.readDoubleBE(at) * earlier, at);
  while (isThere(its)) its.writeDoubleBE(its.readDoubleBE(at + 8) + apart, at + 8);
  return its;
}
