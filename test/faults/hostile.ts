// Hostile values: plain data with something wrong in one place, and the heads that are known to have killed msgpack readers
// (research: nested headers, lengths of billions, record definitions, extensions that run code).
import type { Chance } from "../actors/seeded.ts";

const strange = (chance: Chance): unknown => chance.of<() => unknown>([
  () => null, () => true, () => -1, () => 0, () => 1.5, () => NaN, () => Infinity, () => 2 ** 53, () => -(2 ** 63), () => 2 ** 32, () => "", () => "..", () => "a\0b", () => "__proto__", () => "constructor", () => "ü".repeat(512),
  () => [], () => ({}), () => [[]], () => [null, null, null, null, null, null, null, null], () => new Array(chance.below(3_000)).fill(0), () => ({ length: 3, 0: 1 }), () => new Uint8Array(chance.below(20)), () => new Date(0), () => new Date(8.64e15), () => ({ then: 1, toString: 2, valueOf: 3 }),
])();

/** A copy with one to three things wrong: replaced, taken out, doubled, exchanged, added. */
export function twisted(value: unknown, chance: Chance): unknown {
  let made = value;
  for (let times = 1 + chance.below(3); times > 0; times--) made = twist(made, chance, 0);
  return made;
}

function twist(value: unknown, chance: Chance, depth: number): unknown {
  const inner = Array.isArray(value) ? value.length : typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype ? Object.keys(value).length : 0;
  if (inner === 0 || depth > 8 || chance.below(10) === 0) return strange(chance);
  if (!Array.isArray(value)) {
    const copy = { ...(value as Record<string, unknown>) }, name = chance.of(Object.keys(copy)), way = chance.below(8);
    if (way === 0) delete copy[name];
    else if (way === 1) copy[chance.of(["x", "k", "out", "state", "snapshot", "part", "tries"])] = strange(chance);
    else copy[name] = twist(copy[name], chance, depth + 1);
    return copy;
  }
  const copy: unknown[] = [...(value as unknown[])], at = chance.below(copy.length);
  switch (chance.below(12)) {
    case 0: copy.splice(at, 1); break;
    case 1: copy.splice(at, 0, copy[at]); break;
    case 2: copy.splice(at, 0, strange(chance)); break;
    case 3: { const other = chance.below(copy.length); [copy[at], copy[other]] = [copy[other], copy[at]]; break; }
    case 4: copy.length = at; break;
    default: copy[at] = twist(copy[at], chance, depth + 1);
  }
  return copy;
}

const repeated = (count: number, ...part: readonly number[]): Buffer => Buffer.alloc(count * part.length, Buffer.from(part));

/** Bytes that killed readers, or nearly. */
export const killers: readonly Uint8Array[] = [
  repeated(20_000, 0x91), repeated(8_000, 0xdc, 0xff, 0xff), repeated(8_000, 0xdc, 0, 1), repeated(4_000, 0xdd, 0xff, 0xff, 0xff, 0xff), repeated(4_000, 0xdf, 0xff, 0xff, 0xff, 0xff), repeated(10_000, 0x81, 0xa0),
  Buffer.from([0xd4, 0x72, 0x40, 0x91, 0xa1, 0x61, 0x01]), Buffer.from([0xd5, 0x72, 0x40, 0x01, 0x91, 0xa1, 0x61, 0x01]), Buffer.from([0xc7, 1, 0x72, 0x40, 0x91, 0xa1, 0x61, 0x01]),
  Buffer.concat([Buffer.from([0xc7, 12, 0x78, 0x92, 0xa8]), Buffer.from("(a+)+b$x"), Buffer.from([0xa1, 0x67])]), Buffer.from([0xd6, 0x62, 0, 0, 0, 4, 1]), Buffer.from([0xd6, 0x65, 0, 0, 0, 0]), Buffer.from([0xd6, 0x69, 0, 0, 0, 1, 0x90]),
  Buffer.from([0xd6, 0x70, 0, 0, 0, 1]), Buffer.from([0xd4, 0x73, 0, 0x90]), Buffer.from([0xc7, 9, 0x74, 8, 0, 0, 0, 0, 0, 0, 0, 0]), Buffer.from([0xc7, 4, 0x42, 1, 2, 3, 4]), Buffer.from([0xdb, 0xff, 0xff, 0xff, 0xff, 0x61]), Buffer.from([0xc9, 0x7f, 0xff, 0xff, 0xff, 1]),
  Buffer.from([0xc7, 2, 2, 0x91, 1]), Buffer.from([0xd4, 3, 1]), Buffer.from([0x81, 0x91, 0x91, 0x80, 1]), Buffer.from([0xda, 0xff, 0xff, 0xc0, 0xaf]), Buffer.from([0xa4, 0xf8, 0x88, 0x80, 0x80]), Buffer.concat([Buffer.from([0x81, 0xa9]), Buffer.from("__proto__"), Buffer.from([0x81, 0xa1, 0x78, 1])]),
];

/** Names that must be refused or encoded, never followed. */
export const names = (chance: Chance): string => chance.of([
  "..", ".", "../..", "/", "/etc/passwd", "a/../b", "a/..", "..\\..", "a\0", "\0", "a\nb", "", " ", "a.b", "*", ">", "a.>", "$JS", "$KV.millrace.x", "ü", "😀", "\ud800", "\u202eabc", "a".repeat(1_024), "ä".repeat(1_024), "con", "nul", "CON", "-a", "a--", "__proto__", "constructor", "a%2f..", "~", "a:b", `${"../".repeat(40)}tmp/x`,
  Array.from({ length: 1 + chance.below(70) }, () => String.fromCharCode(chance.of([chance.below(128), chance.below(0x10000), 46, 47, 97]))).join(""),
]);
