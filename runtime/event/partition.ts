// Which partition a key belongs to: FNV-1a, 32 bits, over the UTF-8 bytes of its text; the hash of NATS' own {{partition()}}.
import type { Key } from "./event.ts";

/** FNV-1a 32 of a text. */
export function fnv1a32(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code > 127) return fnv1a32Bytes(Buffer.from(text));
    hash = Math.imul(hash ^ code, 0x01000193);
  }
  return hash >>> 0;
}

function fnv1a32Bytes(bytes: Uint8Array): number {
  let hash = 0x811c9dc5;
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}

/** Partition of a key among `count`. `1` and `"1"` share one. */
export function partitionOf(key: Key, count: number): number {
  return count === 1 ? 0 : fnv1a32(typeof key === "string" ? key : String(key)) % count;
}
