import { inspect } from "node:util";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { isPublicKey, isSeed, isSignedBy, keyOf, newKey } from "../../../runtime/deploy/nkey.ts";
import { MillraceError } from "../../../runtime/event/errors.ts";

const test = suite("nkey");
const message = Buffer.from("what is signed");

for (const [kind, letter] of [["user", "U"], ["account", "A"]] as const) {
  test(`a key of an ${kind} signs, and only what it signed is its`, () => {
    const { key, seed } = newKey(kind), signature = key.sign(message);
    assert.is(key.publicKey[0], letter);
    assert.ok(isPublicKey(key.publicKey));
    assert.ok(isSeed(seed));
    assert.ok(isSignedBy(key.publicKey, message, signature));
    assert.not.ok(isSignedBy(key.publicKey, Buffer.from("what is Signed"), signature));
    assert.not.ok(isSignedBy(newKey(kind).key.publicKey, message, signature));
    for (let at = 0; at < signature.length; at += 7) assert.not.ok(isSignedBy(key.publicKey, message, signature.map((byte, its) => (its === at ? byte ^ 1 : byte))));
    for (const wrong of [new Uint8Array(), signature.subarray(1), new Uint8Array(65)]) assert.not.ok(isSignedBy(key.publicKey, message, wrong));
  });
}

test("a seed is read alone and from a .creds file, and is the same key", () => {
  const { key, seed } = newKey("user");
  for (const text of [seed, `${seed}\n`, `-----BEGIN USER NKEY SEED-----\n${seed}\n------END USER NKEY SEED------\n`]) assert.is(keyOf(text, "k.nk").publicKey, key.publicKey);
});

test("what holds no seed is refused, and the error never tells what is in it", () => {
  // Not in the last letter: some of its bits say nothing.
  const { seed } = newKey("user"), wrong = seed.slice(0, 30) + (seed[30] === "A" ? "B" : "A") + seed.slice(31);
  for (const text of ["", "nothing", wrong, seed.slice(1), newKey("user").key.publicKey]) {
    try {
      keyOf(text, "k.nk");
      assert.unreachable();
    } catch (error) {
      assert.instance(error, MillraceError);
      assert.is((error as MillraceError).code, "KEY_INVALID");
      assert.not.ok(inspect(error, { depth: 9 }).includes(seed.slice(2, 40)));
    }
  }
});

test("a key never prints its secret half", () => {
  const { key, seed } = newKey("user");
  for (const text of [inspect(key, { depth: 9, showHidden: true }), JSON.stringify(key), String(key)]) assert.not.ok(text.includes(seed.slice(2, 40)));
});

test("a public key with a typing error is none", () => {
  const { key: { publicKey } } = newKey("user");
  for (const text of ["", "U", publicKey.slice(1), `${publicKey}A`, publicKey.toLowerCase(), publicKey.replace(/.$/, (last) => (last === "A" ? "B" : "A")), `S${publicKey.slice(1)}`]) {
    assert.not.ok(isPublicKey(text), text);
    assert.not.ok(isSignedBy(text, message, new Uint8Array(64)), text);
  }
});

test.run();
