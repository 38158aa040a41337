import { suite } from "uvu";
import * as assert from "uvu/assert";
import { systemRandom } from "../../../runtime/event/clock.ts";
import { newToken } from "../../../runtime/node/token.ts";

const test = suite("token");

test("a token is 8 characters of a-z and 0-9", () => {
  for (let i = 0; i < 100; i++) assert.match(newToken(systemRandom), /^[a-z0-9]{8}$/);
});

test("each of the 36 characters is as likely as the others: bytes that would favour some are passed over", () => {
  const bytes = [255, 254, 253, 252, 0, 35, 36, 251, 1, 2, 3, 4];
  let at = 0;
  const random = { next: () => 0, bytes: (n: number) => Uint8Array.from({ length: n }, () => bytes[at++ % bytes.length] as number) };
  assert.is(newToken(random), "a9a9bcde");
});

test.run();
