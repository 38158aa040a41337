// The scanner against JSON.parse as the judge: on made-up documents, in blocks of every size, and on broken ones.
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { JsonFault, JsonScanner, parseSpan } from "../../actors/json-scan.ts";
import { Chance, seed } from "./seeded.ts";

const test = suite("json-scan");

/** All elements, with at most `block` further bytes at a time. */
function elements(content: Buffer, at: string, block: number): unknown[] {
  const scanner = new JsonScanner(at, 0);
  const found: unknown[] = [];
  let end = 0;
  for (let calls = 0; calls < 10 * content.length + 100; calls++) {
    const element = scanner.next(content.subarray(scanner.keep, end), scanner.keep, end === content.length && calls > 0);
    if (element === "end") return found;
    if (element !== "more") found.push(parseSpan(content.toString("utf8", element.start, element.end), element.start));
    else end = Math.min(content.length, end + block);
  }
  throw new Error("it did not end");
}

function value(chance: Chance, depth: number): unknown {
  const kind = chance.below(depth > 3 ? 5 : 7);
  if (kind === 0) return chance.of([null, true, false]);
  if (kind === 1) return chance.of([0, -1, 1.5, 1e21, -2.5e-7, chance.below(1000)]);
  if (kind < 5) return chance.of(["", "a", "]", "}{", '"', "\\", '\\"', "\n", "süß \u{1f980}", ",:", "a".repeat(chance.below(40))]);
  const size = chance.below(4);
  if (kind === 5) return Array.from({ length: size }, () => value(chance, depth + 1));
  return Object.fromEntries(Array.from({ length: size }, (_, i) => [`${chance.of(["a", "b", '"', "ü"])}${i}`, value(chance, depth + 1)]));
}

/** A document with an array somewhere in it, and the way there. */
function made(chance: Chance): { content: string; at: string; expected: unknown[] } {
  const expected = Array.from({ length: chance.below(6) }, () => value(chance, 1));
  const way: string[] = [];
  let document: unknown = expected;
  for (let depth = chance.below(4); depth > 0; depth--) {
    const before = Array.from({ length: chance.below(3) }, () => value(chance, 2));
    const after = Array.from({ length: chance.below(3) }, () => value(chance, 2));
    if (chance.below(2) === 0) {
      way.unshift(String(before.length));
      document = [...before, document, ...after];
    } else {
      way.unshift("list");
      document = { ...Object.fromEntries(before.map((one, i) => [`x${i}`, one])), list: document, ...Object.fromEntries(after.map((one, i) => [`y${i}`, one])) };
    }
  }
  const indent = chance.of([0, 0, 1, "\t", " \r\n"]);
  return { content: JSON.stringify(document, undefined, typeof indent === "string" && indent.includes("\n") ? "  " : indent).replaceAll("\n", chance.of(["\n", "\r\n"])), at: way.join("."), expected };
}

test("the elements are those that JSON.parse finds, whatever the blocks", () => {
  for (let round = 0; round < 400; round++) {
    const chance = new Chance(seed + round);
    const { content, at, expected } = made(chance);
    const bytes = Buffer.from(content);
    for (const block of [1, 2, 3, 1 + chance.below(20), bytes.length + 1]) {
      assert.equal(elements(bytes, at, block), expected, `seed ${seed + round}, blocks of ${block}, at "${at}": ${content}`);
    }
  }
});

test("what JSON.parse refuses is refused; nothing broken is read as whole, and nothing hangs", () => {
  let refused = 0;
  for (let round = 0; round < 4000; round++) {
    const chance = new Chance(seed + round);
    const { content, at, expected } = made(chance);
    const cut = chance.below(content.length + 1);
    const broken = chance.of([
      content.slice(0, cut),
      content.slice(0, cut) + chance.of(['"', "{", "}", "[", "]", ",", ":", "x", "1", "\\", " "]) + content.slice(cut),
      content.slice(0, cut) + content.slice(cut + 1),
    ]);
    let valid = true;
    try {
      JSON.parse(broken);
    } catch {
      valid = false;
    }
    const about = `seed ${seed + round}, at "${at}": ${broken}`;
    let fault: unknown;
    let found: unknown[] | undefined;
    try {
      found = elements(Buffer.from(broken), at, 1 + chance.below(30));
    } catch (error) {
      fault = error;
    }
    if (fault !== undefined) {
      assert.instance(fault, JsonFault, about);
      assert.ok((fault as JsonFault).offset <= Buffer.byteLength(broken), about);
      if ((fault as JsonFault).code === "JSON_INVALID") {
        refused++;
        assert.is(valid, false, about);
      }
    } else {
      assert.is(valid, true, about);
      if (broken === content) assert.equal(found, expected, about);
    }
  }
  assert.ok(refused > 1000, `${refused} were refused`);
});

test.run();
