import { suite } from "uvu";
import * as assert from "uvu/assert";
import { decode, encode, plain, scan } from "../../../runtime/event/codec.ts";
import { MillraceError } from "../../../runtime/event/errors.ts";
import { Chance, seed } from "../../actors/seeded.ts";
import { mutated, randomBytes } from "../../support/mutation.ts";
import { randomData, told } from "../../support/plain-data.ts";

const test = suite("codec");
const roundTrip = (value: unknown): unknown => decode(encode(plain(value)));
const bytes = (...parts: readonly (number | Uint8Array)[]): Buffer => Buffer.concat(parts.map((part) => (typeof part === "number" ? Buffer.of(part) : part)));
const be32 = (value: number): Buffer => { const four = Buffer.alloc(4); four.writeUInt32BE(value); return four; };

/** The code of what is thrown; "" where nothing is; anything but our own error is thrown on. */
function refusal(call: () => unknown): string {
  try {
    call();
    return "";
  } catch (thrown) {
    if (thrown instanceof MillraceError) return thrown.code;
    throw new Error(`threw something else: ${thrown}`, { cause: thrown });
  }
}

// ── what is sent comes back

test(`10,000 random data come back as they were (SEED=${seed})`, () => {
  const chance = new Chance(seed);
  for (let i = 0; i < 10_000; i++) {
    const data = randomData(chance, 5), sent = encode(plain(data));
    assert.is(told(decode(sent)), told(data), `data ${i}`);
    assert.is(scan(sent), undefined, `data ${i}`);
  }
});

test("what was encoded is not touched by what is encoded after it", () => {
  const chance = new Chance(seed + 1), data = Array.from({ length: 500 }, () => randomData(chance, 3));
  const sent = data.map((value) => encode(plain(value))), copies = sent.map((one) => Buffer.from(one));
  for (let i = 0; i < 500; i++) encode(plain(randomData(chance, 4)));
  sent.forEach((one, i) => { assert.equal(Buffer.from(one), copies[i]); });
});

test("what was decoded is not touched when the bytes it came from are written over", () => {
  const data = { text: "abc", bytes: Uint8Array.of(1, 2, 3), list: [new Uint8Array(40).fill(7)], map: new Map([["a", Uint8Array.of(9)]]) };
  const sent = Buffer.from(encode(plain(data))), read = decode(sent);
  sent.fill(0xc1);
  assert.is(told(read), told(data));
});

for (const [name, value] of [
  ["NaN", NaN], ["an infinite number", -Infinity], ["the largest safe integer", Number.MAX_SAFE_INTEGER], ["an integer above 2^53", 2 ** 60], ["an integer below -2^53", -(2 ** 62)],
  ["a bigint of 64 bits", 2n ** 63n], ["a bigint of a thousand bits", -(2n ** 1000n)], ["bigint 0", 0n], ["bigint -128", -128n], ["bigint 128", 128n],
  ["the earliest date", new Date(-8.64e15)], ["a date before 1970 with milliseconds", new Date(-1)], ["a date after 2106", new Date(5e12 + 7)],
  ["a Map of Maps", new Map([[new Map([[1, 2]]), new Map([[3, new Set([4])]])]])], ["a Set of lists", new Set([[1], [1]])], ["bytes", new Uint8Array([0, 255])], ["no bytes", new Uint8Array()],
  ["an object without a prototype", Object.assign(Object.create(null), { a: 1 })], ["an empty Map", new Map()], ["a list with a hole", Object.assign([1], { 2: 3 })],
] as const) {
  test(`${name} comes back as it was`, () => assert.is(told(roundTrip(value)), told(value)));
}

test("-0 comes back as 0, which is equal to it", () => assert.ok(roundTrip(-0) === 0));

test("a property without a value is left out; in a list, a Map and a Set it is null", () => {
  const read = roundTrip({ a: undefined, b: { c: undefined }, d: [undefined], e: new Map([[undefined, undefined]]), f: new Set([undefined]) }) as Record<string, unknown>;
  assert.not.ok("a" in read);
  assert.equal(read["b"], {});
  assert.equal(read["d"], [null]);
  assert.equal([...(read["e"] as Map<unknown, unknown>)], [[null, null]]);
  assert.equal([...(read["f"] as Set<unknown>)], [null]);
});

test("half a surrogate pair, which no UTF-8 has, arrives as U+FFFD, alone and nested", () => {
  for (const length of [1, 40, 300]) {
    const cut = "\ud83d".padEnd(length, "x"), whole = "\ufffd".padEnd(length, "x");
    assert.equal(roundTrip([cut, { a: cut }, new Map([[cut, cut]])]), [whole, { a: whole }, new Map([[whole, whole]])]);
    assert.is(new TextDecoder("utf-8", { fatal: true }).decode(encode(plain(cut)).subarray(length < 32 ? 1 : length < 256 ? 2 : 3)), whole);
  }
});

test("flat plain data is sent without a copy", () => {
  for (const data of [{ a: 1, b: "x", c: null, d: [1, 2, { e: true }] }, [1, "a"], { when: new Date(0), raw: new Uint8Array(3), not: NaN }]) assert.is(plain(data), data);
});

test("what is sent is not changed by sending it", () => {
  const data = { a: 1n, b: undefined, c: [new Map([[1, 2n]])], d: "\ud800" }, before = told(data);
  encode(plain(data));
  assert.is(told(data), before);
  assert.ok("b" in data);
});

test("on the wire is what PROTOCOL 3 names: extension 1 bigint, 2 Map, 3 Set, -1 a date, bin for bytes", () => {
  const hex = (value: unknown) => Buffer.from(encode(plain(value))).toString("hex");
  assert.is(hex(1n), "d40101");
  assert.is(hex(-1n), "d401ff");
  assert.is(hex(128n), "d5010080");
  assert.is(hex(-32_769n), "c70301ff7fff");
  assert.is(hex(2n ** 64n), "c70901010000000000000000");
  assert.is(hex(new Map([["a", 1]])), "d60292a161" + "01");
  assert.is(hex(new Set([1, 2, 3])), "d6039301" + "0203");
  assert.is(hex(new Date(1_000)), "d6ff00000001");
  assert.is(hex(new Date(1)), "d7ff003d090000000000");
  assert.is(hex(Uint8Array.of(1, 2)), "c4020102");
  assert.is(hex({ a: [true, null, 1.5, -1] }), "81a16194c3c0cb3ff8000000000000ff");
});

// ── what cannot be sent is refused before anything is written

class Order { readonly id = 1; }
const cycle: { self?: unknown } = {};
cycle.self = [cycle];
for (const [name, value, says] of [
  ["a function", () => 1, /a function cannot be sent/], ["a symbol", Symbol("s"), /a symbol cannot be sent/], ["an instance of a class", new Order(), /an instance of Order/],
  ["an error", new Error("x"), /an instance of Error/], ["a promise", Promise.resolve(), /an instance of Promise/], ["a WeakMap", new WeakMap(), /an instance of WeakMap/],
  ["a Float64Array", new Float64Array(2), /an instance of Float64Array/], ["an ArrayBuffer", new ArrayBuffer(2), /an instance of ArrayBuffer/], ["a regular expression", /x/, /an instance of RegExp/],
  ["a date that is none", new Date(NaN), /an invalid Date/], ["a cycle", cycle, /deeper than 48/], ["a property named __proto__", JSON.parse('{"__proto__":1}'), /__proto__/],
] as const) {
  for (const [where, put] of [["", (v: unknown) => v], [" in an object", (v: unknown) => ({ a: v })], [" in a list", (v: unknown) => [1, v]], [" in a Map", (v: unknown) => new Map([[1, v]])], [" as a key of a Map", (v: unknown) => new Map([[v, 1]])], [" in a Set", (v: unknown) => new Set([v])]] as const) {
    test(`${name}${where} is refused with its reason`, () => {
      assert.is(refusal(() => plain(put(value))), "UNSERIALIZABLE");
      assert.throws(() => plain(put(value)), says);
    });
  }
}

test("what may be sent may be read, however it is nested, in a frame's row and in a record's", () => {
  const wraps: readonly ((v: unknown) => unknown)[] = [(v) => [v], (v) => ({ v }), (v) => new Map([["v", v]]), (v) => new Map([[v, 1]]), (v) => new Set([v])];
  const chance = new Chance(seed + 2);
  for (let i = 0; i < 2_000; i++) {
    let value: unknown = 1;
    const only = i < wraps.length ? wraps[i] : undefined;
    // As deep as `plain` lets through.
    for (;;) {
      const deeper = (only ?? chance.of(wraps))(value);
      if (refusal(() => plain(deeper)) !== "") break;
      value = deeper;
    }
    const sent = plain(value);
    // An event that waits is the deepest place: record, body, list, entry, its value, event, row.
    const record = [1, { waiting: [["id", [0, 1, ["from", "g", 1, 1, 0, [0, 0, null, null, -1, sent]]]]] }];
    assert.is(told(decode(encode(record))), told([1, { waiting: [["id", [0, 1, ["from", "g", 1, 1, 0, [0, 0, null, null, -1, value]]]]] }]));
  }
});

// ── hostile bytes

const many = (count: number, part: readonly number[]): Buffer => Buffer.alloc(count * part.length, Buffer.from(part));
const nested = (kind: number, levels: number): Buffer => {
  let inner = bytes(0x90);
  for (let i = 0; i < levels; i++) inner = bytes(0xc9, be32(inner.length + 1), kind, 0x91, inner);
  return inner;
};
for (const [name, hostile] of [
  ["a million nested lists", many(1_000_000, [0x91])],
  ["72 KB of nested array16 heads", many(24_000, [0xdc, 0xff, 0xff])],
  ["72 KB of nested array16 heads of one", many(24_000, [0xdc, 0x00, 0x01])],
  ["nested array32 heads of four billion", many(14_000, [0xdd, 0xff, 0xff, 0xff, 0xff])],
  ["nested map32 heads of four billion", many(14_000, [0xdf, 0xff, 0xff, 0xff, 0xff])],
  ["a million nested maps", many(1_000_000, [0x81, 0xa0])],
  ["a record definition, fixext 1", bytes(0xd4, 0x72, 0x40, 0x91, 0xa1, 0x61, 0x01)],
  ["a record definition, fixext 2", bytes(0xd5, 0x72, 0x40, 0x01, 0x91, 0xa1, 0x61, 0x01)],
  ["a record definition, ext 8", bytes(0xc7, 1, 0x72, 0x40, 0x91, 0xa1, 0x61, 0x01)],
  ["a regular expression (0x78)", bytes(0xc7, 12, 0x78, 0x92, 0xa8, Buffer.from("(a+)+b$x"), 0xa1, 0x67)],
  ["a bigint of msgpackr's own (0x42)", bytes(0xc7, 4, 0x42, 1, 2, 3, 4)],
  ["a bundle of texts (0x62)", bytes(0xd6, 0x62, be32(4), 0x01)],
  ["an error (0x65)", bytes(0xd6, 0x65, be32(0))], ["an object id (0x69)", bytes(0xd6, 0x69, be32(1), 0x90)], ["an object pointer (0x70)", bytes(0xd6, 0x70, be32(1))],
  ["a set of msgpackr's own (0x73)", bytes(0xd4, 0x73, 0x00, 0x90)], ["a typed array (0x74)", bytes(0xc7, 9, 0x74, 8, be32(0), be32(0))],
  ["an extension of nobody", bytes(0xd4, 0x05, 0x00)], ["an extension of nobody in a Map", bytes(0xc7, 5, 2, 0x92, 0x01, 0xd4, 0x05, 0x00)],
  ["the byte that msgpack never uses", bytes(0xc1)],
  ["nothing at all", bytes()],
  ["a value and one byte more", bytes(0x01, 0x01)], ["two lists", bytes(0x90, 0x90)],
  ["a list without its last item", bytes(0x92, 0x01)],
  ["a text longer than the rest", bytes(0xd9, 0xff, 0x61)], ["a text of four billion bytes", bytes(0xdb, be32(0xffffffff), 0x61)], ["bytes longer than the rest", bytes(0xc6, be32(0x7fffffff), 0x61)],
  ["a text without its length, where values are still open", bytes(0x93, 0x92, 0x00, 0xd9)], ["bytes without their length, where values are still open", bytes(0x93, 0x92, 0x00, 0xc4)],
  ["an extension longer than the rest", bytes(0xc9, be32(0x7fffffff), 1)], ["an extension without its kind", bytes(0xc7, 1)], ["a Map whose inside ends early", bytes(0xc7, 2, 2, 0x92, 0x01)],
  ["a Map whose inside goes on after its end", bytes(0xc7, 2, 2, 0x90, 0x01)], ["a Map of an odd number", bytes(0xc7, 2, 2, 0x91, 0x01)], ["a Map of a number", bytes(0xd4, 2, 0x01)], ["a Set of a number", bytes(0xd4, 3, 0x01)],
  ["a Map that reaches into what comes after it", bytes(0x92, 0xc7, 2, 2, 0x92, 0x01, 0x02)],
  ["10,000 nested Maps", nested(2, 10_000)], ["40 nested Sets", nested(3, 40)],
  ["a list as the name of a property", bytes(0x81, 0x91, 0x91, 0x80, 0x01)],
] as const) {
  test(`${name}: refused at once`, () => {
    const began = performance.now();
    assert.is(refusal(() => decode(hostile)), "BYTES_REFUSED");
    assert.is(refusal(() => scan(hostile)), "");
    assert.ok(performance.now() - began < 2_000, "it took too long");
  });
}

for (const [name, large] of [
  ["a bigint of a megabyte", bytes(0xc9, be32(1_000_000), 1, Buffer.alloc(1_000_000, 0x5a))],
  ["a negative bigint of a megabyte", bytes(0xc9, be32(1_000_000), 1, Buffer.alloc(1_000_000, 0x80))],
  ["a quarter of a million empty Maps", bytes(0xdd, be32(250_000), many(250_000, [0xc7, 1, 2, 0x90]))],
  ["174,000 Sets, 29 deep", bytes(0xdd, be32(6_000), many(6_000, [...nested(3, 28)]))],
  ["a million dates", bytes(0xdd, be32(150_000), many(150_000, [0xd6, 0xff, 0, 0, 0, 1]))],
  ["a million empty maps", bytes(0xdd, be32(1_000_000), many(1_000_000, [0x80]))],
] as const) {
  test(`${name}: read in a time that follows its size`, () => {
    const began = performance.now();
    assert.is.not(decode(large), undefined);
    const took = performance.now() - began;
    assert.ok(took < 4_000, `it took ${took} ms`);
  });
}

test("sending a bigint of 100 KB takes a time that follows its size", () => {
  const large = -(1n << 800_000n) - 1n, began = performance.now();
  assert.ok(roundTrip(large) === large);
  assert.ok(performance.now() - began < 2_000, "it took too long");
});

test("a property named __proto__ touches no prototype", () => {
  const read = decode(bytes(0x81, 0xa9, Buffer.from("__proto__"), 0x81, 0xa1, 0x78, 0x01)) as object;
  assert.is(Object.getPrototypeOf(read), Object.prototype);
  assert.is(({} as { x?: unknown }).x, undefined);
  assert.is((read as { x?: unknown }).x, undefined);
});

test("4,000,000 values are read, one more is refused", () => {
  const list = (count: number) => bytes(0xdd, be32(count), Buffer.alloc(count, 0xc0));
  assert.is(scan(list(3_999_999)), undefined);
  assert.match(scan(list(4_000_000)) as string, /more than 4000000 values/);
});

test("nested 64 deep is read, 65 is refused", () => {
  assert.is(scan(bytes(many(64, [0x91]), 0xc0)), undefined);
  assert.is(scan(bytes(many(65, [0x91]), 0xc0)), "nested deeper than 64");
});

/** What msgpack is, written a second time and another way: where the value at `at` ends, or a text of what is wrong. */
function reference(b: Uint8Array, at: number, to: number, depth: number): number | string {
  const size = (width: number): number => { let value = 0; for (let i = 1; i <= width; i++) value = value * 256 + (b[at + i] ?? NaN); return at + width < to ? value : NaN; };
  const flat = (length: number): number | string => (at + length <= to ? at + length : "short");
  const items = (count: number, head: number): number | string => {
    if (Number.isNaN(count) || at + head > to) return "short";
    if (count > 0 && depth + 1 > 64) return "deep";
    let end: number | string = at + head;
    for (let i = 0; i < count && typeof end === "number"; i++) end = reference(b, end, to, depth + 1);
    return end;
  };
  const extension = (length: number, head: number): number | string => {
    const kind = at + head - 1 < to ? b[at + head - 1] : undefined;
    if (Number.isNaN(length) || kind === undefined) return "short";
    if (![1, 2, 3, 255].includes(kind)) return "extension";
    if (at + head + length > to) return "short";
    if (kind === 1 || kind === 255) return at + head + length;
    if (depth + 1 >= 64) return "deep";
    const end = reference(b, at + head, at + head + length, depth + 1);
    return end === at + head + length || typeof end === "string" ? end : "rest";
  };
  const type = at < to ? b[at] : undefined;
  if (type === undefined) return "short";
  if (type <= 0x7f || type >= 0xe0) return at + 1;
  if (type <= 0x8f) return items((type & 15) * 2, 1);
  if (type <= 0x9f) return items(type & 15, 1);
  if (type <= 0xbf) return flat(1 + (type & 31));
  const fixed = new Map([[0xc0, 1], [0xc2, 1], [0xc3, 1], [0xca, 5], [0xcb, 9], [0xcc, 2], [0xcd, 3], [0xce, 5], [0xcf, 9], [0xd0, 2], [0xd1, 3], [0xd2, 5], [0xd3, 9]]).get(type);
  if (fixed !== undefined) return flat(fixed);
  const width = new Map([[0xc4, 1], [0xc5, 2], [0xc6, 4], [0xd9, 1], [0xda, 2], [0xdb, 4]]).get(type);
  if (width !== undefined) return Number.isNaN(size(width)) ? "short" : flat(1 + width + size(width));
  if (type === 0xdc || type === 0xdd) return items(size(type === 0xdc ? 2 : 4), type === 0xdc ? 3 : 5);
  if (type === 0xde || type === 0xdf) return items(size(type === 0xde ? 2 : 4) * 2, type === 0xde ? 3 : 5);
  if (type >= 0xd4 && type <= 0xd8) return extension(2 ** (type - 0xd4), 2);
  const wide = new Map([[0xc7, 1], [0xc8, 2], [0xc9, 4]]).get(type);
  return wide === undefined ? "type" : extension(size(wide), wide + 2);
}

test(`100,000 random and mutated inputs: read, or refused, never anything else; the scan is what msgpack says (SEED=${seed})`, () => {
  const chance = new Chance(seed + 3), valid = Array.from({ length: 300 }, () => encode(plain(randomData(chance, 4))));
  let slowest = 0, read = 0, unsendable = 0;
  for (let i = 0; i < 100_000; i++) {
    const input = i % 4 === 0 ? randomBytes(chance) : mutated(chance.of(valid), chance), shown = () => `input ${i}: ${input.toString("hex").slice(0, 400)}`;
    const began = performance.now(), reason = scan(input), fits = reference(input, 0, input.length, 0) === input.length;
    assert.is(reason === undefined, fits, shown());
    let value: unknown;
    const code = refusal(() => { value = decode(input); });
    slowest = Math.max(slowest, performance.now() - began);
    assert.ok(code === "BYTES_REFUSED" || (code === "" && reason === undefined), shown());
    if (code !== "") continue;
    read++;
    // What was let in can be sent on, unless it is a date that is none, or a name that cannot be sent.
    let again: unknown;
    if (refusal(() => { again = plain(value); }) === "") assert.is(told(decode(encode(again))), told(value), shown());
    else unsendable++;
  }
  assert.ok(read > 10_000 && unsendable < read / 10, `${read} were read, ${unsendable} of them cannot be sent`);
  assert.ok(slowest < 1_000, `the slowest took ${slowest} ms`);
});

test("a refusal leaves nothing behind: the next bytes are read as ever", () => {
  const good = encode(plain({ a: new Map([[1, new Set([2n])]]) })), shown = told(decode(good)), chance = new Chance(seed + 4);
  for (let i = 0; i < 2_000; i++) {
    refusal(() => decode(mutated(good, chance)));
    assert.is(told(decode(good)), shown);
  }
});

test.run();
