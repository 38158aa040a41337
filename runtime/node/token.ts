// The token of a run: what tells its streams, journals and generations from those of every other run.
import type { Random } from "../event/clock.ts";

const alphabet = "abcdefghijklmnopqrstuvwxyz0123456789";
const length = 8;

/** 8 random characters of a-z and 0-9. */
export function newToken(random: Random): string {
  let token = "";
  while (token.length < length) {
    // Bytes above the last whole multiple would favour the first letters.
    for (const byte of random.bytes(length)) if (byte < 252 && token.length < length) token += alphabet[byte % 36];
  }
  return token;
}
