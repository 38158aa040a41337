// Bytes made wrong, for readers that must survive anything.
import type { Chance } from "../actors/seeded.ts";

/** A few random changes: bytes flipped or replaced, cut off, taken out, doubled, added. */
export function mutated(bytes: Uint8Array, chance: Chance): Buffer {
  let changed = Buffer.from(bytes);
  for (let changes = 1 + chance.below(3); changes > 0; changes--) {
    const at = chance.below(changed.length + 1), end = Math.min(changed.length, at + 1 + chance.below(8));
    switch (chance.below(7)) {
      case 0: case 1: if (at < changed.length) changed[at] = (changed[at] as number) ^ (1 << chance.below(8)); break;
      case 2: case 3: if (at < changed.length) changed[at] = chance.below(256); break;
      case 4: changed = changed.subarray(0, at); break;
      case 5: changed = Buffer.concat([changed.subarray(0, at), changed.subarray(end)]); break;
      default: changed = Buffer.concat([changed.subarray(0, end), changed.subarray(at)]);
    }
  }
  return changed;
}

/** Bytes of which most begin something: heads of all kinds and lengths. */
export function randomBytes(chance: Chance): Buffer {
  const bytes = Buffer.alloc(chance.below(40));
  for (let i = 0; i < bytes.length; i++) bytes[i] = chance.next() < 0.5 ? 0xc0 + chance.below(32) : chance.of([0x80, 0x81, 0x90, 0x91, 0x92, 0xa1, 0xff, 1, 2, 3, 0x72, 0x78, 0x42, 0x62, 0x73, 0x74, chance.below(256)]);
  return bytes;
}
