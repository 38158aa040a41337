// msgpack, as it goes over the wire and into the log: plain msgpack that any language reads. The only importer of msgpackr.
// Extensions: 1 bigint (two's complement, big-endian), 2 Map, 3 Set, -1 timestamp; nothing else is let in (PROTOCOL 3).
import { addExtension, Packr } from "msgpackr";
import { MillraceError } from "./errors.ts";

/** Deepest nesting that is read. */
const maxDepth = 64;
/** Most values in one message. */
const maxValues = 4_000_000;

class BigIntValue {
  readonly value: bigint;
  constructor(value: bigint) { this.value = value; }
}
class MapValue {
  readonly entries: unknown[];
  constructor(entries: unknown[]) { this.entries = entries; }
}
class SetValue {
  readonly items: unknown[];
  constructor(items: unknown[]) { this.items = items; }
}

const options = {
  useRecords: false, mapsAsObjects: true, moreTypes: false, structuredClone: false, copyBuffers: true,
  int64AsType: "auto", useToJSON: false, variableMapSize: true,
} as unknown as ConstructorParameters<typeof Packr>[0];
const packr = new Packr(options);
const inner = new Packr(options);

addExtension({ Class: BigIntValue, type: 1, pack: (value: BigIntValue) => bigIntBytes(value.value), unpack: (bytes: Uint8Array) => bytesBigInt(bytes) });
// Maps and Sets are filled after the whole was read: to read them within would copy all of the message for each.
const unfilled: (readonly [target: Map<unknown, unknown> | Set<unknown>, bytes: Uint8Array])[] = [];
const later = <T extends Map<unknown, unknown> | Set<unknown>>(target: T, bytes: Uint8Array): T => { unfilled.push([target, bytes]); return target; };

addExtension({ Class: MapValue, type: 2, pack: (value: MapValue) => Buffer.from(inner.pack(value.entries)), unpack: (bytes: Uint8Array) => later(new Map<unknown, unknown>(), bytes) });
addExtension({ Class: SetValue, type: 3, pack: (value: SetValue) => Buffer.from(inner.pack(value.items)), unpack: (bytes: Uint8Array) => later(new Set<unknown>(), bytes) });
// msgpackr would decode these whatever its options say; a scan refuses them first, this is the second lock.
for (const type of [0x42, 0x62, 0x65, 0x69, 0x70, 0x73, 0x74, 0x78]) {
  addExtension({ type, unpack: () => { throw refused(`extension ${type} is not let in`); } } as never);
}

function fill([target, bytes]: (typeof unfilled)[number]): void {
  const items: unknown = packr.unpack(bytes);
  if (!Array.isArray(items)) throw refused("a Map or a Set of something that is no list");
  if (target instanceof Set) for (const item of items) target.add(item);
  else {
    if (items.length % 2 !== 0) throw refused("a Map of an odd number of values");
    for (let i = 0; i < items.length; i += 2) target.set(items[i], items[i + 1]);
  }
}

// By way of hexadecimal: byte by byte the time would go with the square of the size.
function bigIntBytes(value: bigint): Buffer {
  const magnitude = (value < 0n ? ~value : value).toString(16), bits = magnitude.length * 4 - Math.clz32(Number.parseInt(magnitude[0] as string, 16)) + 28;
  const size = Math.floor(bits / 8) + 1;
  return Buffer.from(BigInt.asUintN(size * 8, value).toString(16).padStart(size * 2, "0"), "hex");
}

function bytesBigInt(bytes: Uint8Array): bigint {
  if (bytes.length === 0) return 0n;
  return BigInt.asIntN(bytes.length * 8, BigInt(`0x${Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("hex")}`));
}

function refused(reason: string): MillraceError {
  return new MillraceError("BYTES_REFUSED", "msgpack", `These bytes are not read: ${reason}`, "Look at who wrote them.");
}

/** Bytes of a value that `plain` let through, or that the runtime made. */
export function encode(value: unknown): Uint8Array {
  return packr.pack(value);
}

/**
 * The value of bytes from anywhere: scanned first, so that hostile ones cost little.
 * @throws MillraceError BYTES_REFUSED
 */
export function decode(bytes: Uint8Array): unknown {
  const reason = scan(bytes);
  if (reason !== undefined) throw refused(reason);
  try {
    const value: unknown = packr.unpack(bytes);
    for (let next = unfilled.pop(); next !== undefined; next = unfilled.pop()) fill(next);
    return value;
  } catch (cause) {
    unfilled.length = 0;
    throw cause instanceof MillraceError ? cause : new MillraceError("BYTES_REFUSED", "msgpack", "These bytes are not read", "Look at who wrote them.", { cause });
  }
}

/**
 * A value as it may be sent: itself where that can be done at once, else a copy with bigint, Map and Set in their wire form
 * and `undefined` properties left out. The common case, flat plain data, allocates nothing.
 * @throws MillraceError UNSERIALIZABLE for functions, symbols, class instances, a property named __proto__, and what is
 * nested deeper than 48 (a Map or a Set counts twice).
 */
export function plain(value: unknown, depth = 0): unknown {
  switch (typeof value) {
    case "number": case "boolean": return value;
    case "string": return wellFormed(value);
    case "bigint": return new BigIntValue(value);
    case "object": return value === null ? null : plainObject(value, depth);
    case "undefined": return null;
    default: throw unserializable(`a ${typeof value}`);
  }
}

/** Half a surrogate pair (a text cut in the middle of a character) has no UTF-8: U+FFFD in its place. */
export function wellFormed(text: string): string {
  const its = text as string & { isWellFormed(): boolean; toWellFormed(): string };
  return its.isWellFormed() ? text : its.toWellFormed();
}

function plainObject(value: object, depth: number): unknown {
  if (depth > 48) throw unserializable("a value nested deeper than 48 levels (a cycle?)");
  if (Array.isArray(value)) {
    let copy: unknown[] | undefined;
    for (let i = 0; i < value.length; i++) {
      const item: unknown = value[i], sent = plain(item, depth + 1);
      if (sent !== item && !Object.is(sent, item)) (copy ??= value.slice())[i] = sent;
    }
    return copy ?? value;
  }
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype === Object.prototype || prototype === null) {
    let copy: Record<string, unknown> | undefined;
    const from = value as Record<string, unknown>;
    for (const name in from) {
      const item = from[name];
      if (name === "__proto__") throw unserializable("a property named __proto__");
      if (item === undefined) { copy ??= { ...from }; delete copy[name]; continue; }
      const sent = plain(item, depth + 1);
      if (sent !== item && !Object.is(sent, item)) (copy ??= { ...from })[name] = sent;
    }
    return copy ?? (prototype === null ? { ...from } : value);
  }
  if (value instanceof Date) {
    if (Number.isNaN(value.getTime())) throw unserializable("an invalid Date");
    return value;
  }
  if (value instanceof Uint8Array) return value;
  if (value instanceof Map) return new MapValue([...value].flat(1).map((item) => plain(item, depth + 2)));
  if (value instanceof Set) return new SetValue([...value].map((item) => plain(item, depth + 2)));
  throw unserializable(`an instance of ${(value as { constructor?: { name?: string } }).constructor?.name ?? "an unknown class"}`);
}

function unserializable(what: string): MillraceError {
  return new MillraceError("UNSERIALIZABLE", "codec", `${what} cannot be sent`, "Send plain data, Date, bigint, Uint8Array, Map or Set.");
}

// Follows the structure without building anything: size of every value, depth, count and type bytes. Linear in the input.
const open = new Float64Array(maxDepth + 2);
/** Why bytes must not be decoded; `undefined` where they may. */
export function scan(bytes: Uint8Array, from = 0, to = bytes.length, depth = 0): string | undefined {
  const base = depth;
  let at = from, values = 0;
  if (depth >= maxDepth) return `nested deeper than ${maxDepth}`;
  open[depth] = 1;
  for (;;) {
    while (open[depth] === 0) { if (depth === base) return at === to ? undefined : "bytes after the end of the value"; depth--; }
    open[depth] = (open[depth] as number) - 1;
    if (at >= to) return "they end in the middle of a value";
    if (++values > maxValues) return `more than ${maxValues} values`;
    const type = bytes[at++] as number;
    if (type < 0x80 || type >= 0xe0) continue;
    let children = 0;
    if (type < 0x90) children = (type & 15) * 2;
    else if (type < 0xa0) children = type & 15;
    else if (type < 0xc0) { at += type & 31; continue; }
    else switch (type) {
      case 0xc0: case 0xc2: case 0xc3: continue;
      case 0xcc: case 0xd0: at += 1; continue;
      case 0xcd: case 0xd1: at += 2; continue;
      case 0xca: case 0xce: case 0xd2: at += 4; continue;
      case 0xcb: case 0xcf: case 0xd3: at += 8; continue;
      case 0xc4: case 0xd9: at += 1 + (bytes[at] ?? 0); continue;
      case 0xc5: case 0xda: at += 2 + size16(bytes, at); continue;
      case 0xc6: case 0xdb: at += 4 + size32(bytes, at); continue;
      case 0xdc: children = size16(bytes, at); at += 2; break;
      case 0xdd: children = size32(bytes, at); at += 4; break;
      case 0xde: children = size16(bytes, at) * 2; at += 2; break;
      case 0xdf: children = size32(bytes, at) * 2; at += 4; break;
      default: {
        const size = extensionSize(bytes, at, type);
        if (size === undefined) return `type byte 0x${type.toString(16)} is not let in`;
        const head = type >= 0xd4 ? 1 : type === 0xc7 ? 2 : type === 0xc8 ? 3 : 5, kind = bytes[at + head - 1] as number;
        at += head;
        if (kind === 2 || kind === 3) {
          const kept = open.slice(0, depth + 1), reason = at + size > to ? "they end in the middle of a value" : scan(bytes, at, at + size, depth + 1);
          open.set(kept);
          if (reason !== undefined) return reason;
        } else if (kind !== 1 && kind !== 255) return `extension ${kind} is not let in`;
        at += size;
        continue;
      }
    }
    if (children > to - at) return "they end in the middle of a value";
    if (children > 0) {
      if (++depth > maxDepth) return `nested deeper than ${maxDepth}`;
      open[depth] = children;
    }
  }
}

function size16(bytes: Uint8Array, at: number): number {
  return ((bytes[at] as number) << 8) | (bytes[at + 1] as number);
}
function size32(bytes: Uint8Array, at: number): number {
  return size16(bytes, at) * 65536 + size16(bytes, at + 2);
}
function extensionSize(bytes: Uint8Array, at: number, type: number): number | undefined {
  if (type >= 0xd4 && type <= 0xd8) return 1 << (type - 0xd4);
  if (type === 0xc7) return bytes[at];
  if (type === 0xc8) return size16(bytes, at);
  if (type === 0xc9) return size32(bytes, at);
  return undefined;
}
