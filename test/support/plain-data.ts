// Random plain data, and a text of any such data by which two are compared: what is equal on the wire has the same text.
import type { Chance } from "../actors/seeded.ts";

/** Data of everything that may be sent, nested up to `depth`. */
export function randomData(chance: Chance, depth = 4): unknown {
  const kind = chance.below(depth > 0 ? 16 : 11);
  switch (kind) {
    case 0: return null;
    case 1: return chance.next() < 0.5;
    case 2: return randomNumber(chance);
    case 3: return randomNumber(chance);
    case 4: return randomText(chance);
    case 5: return randomText(chance);
    case 6: return randomBigInt(chance);
    case 7: return randomDate(chance);
    case 8: return Uint8Array.from({ length: chance.of([0, 1, 7, 300]) }, () => chance.below(256));
    case 9: return undefined;
    case 10: return Buffer.from(randomText(chance));
    case 11: case 12: return Array.from({ length: chance.below(5) }, () => randomData(chance, depth - 1));
    case 13: return new Map(Array.from({ length: chance.below(4) }, () => [randomData(chance, depth - 1) ?? null, randomData(chance, depth - 1)] as const));
    case 14: return new Set(Array.from({ length: chance.below(4) }, () => randomData(chance, depth - 1) ?? null));
    default: return randomObject(chance, depth - 1);
  }
}

export function randomObject(chance: Chance, depth = 3): Record<string, unknown> {
  const object: Record<string, unknown> = {};
  for (let i = chance.of([0, 1, 2, 3, 5, 20]); i > 0; i--) object[chance.of(["id", "value", "then", "constructor", "toString", "0", "42", randomText(chance)])] = randomData(chance, depth);
  return object;
}

export function randomNumber(chance: Chance): number {
  const sign = chance.next() < 0.5 ? -1 : 1;
  switch (chance.below(6)) {
    case 0: return sign * chance.below(300);
    case 1: return sign * (2 ** chance.below(64) + chance.below(3) - 1);
    case 2: return chance.of([0, -0, NaN, Infinity, -Infinity, Number.MAX_VALUE, Number.MIN_VALUE, Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER, 0.1, -1.5]);
    case 3: return sign * chance.next() * 10 ** (chance.below(40) - 20);
    case 4: return sign * chance.below(2 ** 31);
    default: return sign * Math.floor(chance.next() * 2 ** 53);
  }
}

/** Of ASCII, accents, CJK, emoji and NUL; of every length at which msgpack writes another head. */
export function randomText(chance: Chance): string {
  const alphabet = chance.of(["abc xyz", "aé ü", "漢字か", "a😀b", "a\0b", "\u{10ffff}\ufffd"]), letters = [...alphabet];
  let text = "";
  for (let length = chance.of([0, 1, 3, 10, 31, 32, 33, 70, chance.below(10) === 0 ? 300 : 5]); length > 0; length--) text += chance.of(letters);
  return text;
}

export function randomBigInt(chance: Chance): bigint {
  const edge = 1n << BigInt(chance.below(140));
  return (chance.next() < 0.5 ? -1n : 1n) * (edge + BigInt(chance.below(3) - 1));
}

export function randomDate(chance: Chance): Date {
  const most = 8.64e15, any = Math.floor((chance.next() * 2 - 1) * most);
  return new Date(chance.of([0, 1, -1, 999, 1_000, 1_704_067_200_123, 2 ** 32 * 1_000, 2 ** 34 * 1_000 + 1, most, -most, any, Math.floor(chance.next() * 4e12) - 2e12]));
}

/** A text of data. As on the wire: -0 is 0, a property without a value is not there, in a list it is null. */
export function told(value: unknown): string {
  if (value === undefined || value === null) return "null";
  if (typeof value === "number") return Object.is(value, -0) ? "0" : String(value);
  if (typeof value === "bigint") return `${value}n`;
  if (typeof value !== "object") return JSON.stringify(value);
  if (value instanceof Date) return `Date ${value.getTime()}`;
  if (value instanceof Uint8Array) return `bytes ${Buffer.from(value).toString("hex")}`;
  if (value instanceof Map) return `Map {${[...value].map(([key, item]) => `${told(key)} => ${told(item)}`).join(", ")}}`;
  if (value instanceof Set) return `Set {${[...value].map(told).join(", ")}}`;
  if (Array.isArray(value)) return `[${Array.from(value, told).join(", ")}]`;
  return `{${Object.entries(value).filter(([, item]) => item !== undefined).sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, item]) => `${JSON.stringify(key)}: ${told(item)}`).join(", ")}}`;
}
