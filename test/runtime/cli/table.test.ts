import stringWidth from "string-width";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { type Column, table } from "../../../runtime/cli/table.ts";
import { cutTo, plain, wrapped } from "../../../runtime/cli/terminal.ts";

const test = suite("table");

const columns: readonly Column[] = [{ title: "name", least: 6 }, { title: "in", align: "right" }, { title: "note", least: 8, spare: 1 }, { title: "more", spare: 2 }];
const rows = [["by-region-and-more", "1,707", "a note of some length", "xyz"], ["out", "3", "", ""]];
const widest = (text: string): number => Math.max(...text.split("\n").map((line) => stringWidth(line)));

test("where there is room all is shown, numbers to the right", () => {
  assert.is(table(columns, rows, 80), "  name                   in  note                   more\n  by-region-and-more  1,707  a note of some length  xyz\n  out                     3");
});

for (let width = 24; width <= 80; width++) {
  test(`it fits ${width} columns`, () => assert.ok(widest(table(columns, rows, width)) <= width));
}

test("the widest is cut first, then what may be spared goes, the highest number first", () => {
  assert.match(table(columns, rows, 48), /a note of s?…? ?…? *xyz|by-reg[^ ]*…/);
  const narrow = table(columns, rows, 30);
  assert.not.match(narrow, /xyz/);
  assert.match(narrow, /1,707/);
});

test("what may not be cut is not, as long as that is possible", () => {
  for (const width of [30, 40, 50]) assert.match(table(columns, rows, width), /1,707/);
});

test("a column that may have lines is broken between words, the others stand once", () => {
  const text = table([{ title: "actor" }, { title: "why", least: 12, lines: 3 }], [["f/s/0", "n2 has gone; n3 had a warm copy of it"], ["f/s/1", "short"]], 30);
  assert.is(text, "  actor  why\n  f/s/0  n2 has gone; n3 had a\n         warm copy of it\n  f/s/1  short");
  assert.match(table([{ title: "why", least: 12, lines: 2 }], [["one two three four five six seven"]], 14), /three …|… *$/);
});

test("blanks that a cell begins with stay: a tree is drawn with them", () => {
  assert.is(table([{ title: "tree", least: 4 }, { title: "n" }], [["└─ x", "1"], ["   └─ 0", "2"]], 40), "  tree     n\n  └─ x     1\n     └─ 0  2");
});

test("wide characters count as what they take", () => {
  const text = table([{ title: "place", least: 4 }, { title: "n" }], [["東京都と大阪府と京都府", "1"], ["x", "2"]], 20);
  assert.ok(widest(text) <= 20);
  assert.match(text, /…/);
});

test("without rows there are the heads", () => assert.is(table(columns, [], 80), "  name  in  note  more"));

test("a text is cut to a width, with a mark, never through a character", () => {
  assert.equal([cutTo("hello", 5), cutTo("hello", 4), cutTo("東京都", 4), cutTo("👩‍👩‍👧‍👦 family", 4)], ["hello", "hel…", "東…", "👩‍👩‍👧‍👦 …"]);
});

test("data of others cannot move the cursor, set colours or turn the writing", () => {
  assert.is(plain("a\u001b[31mb\nc\u0007d\u202ee\u009b2Jf"), "a·[31mb·c·d·e·2Jf");
});

test("a long text is broken between words, and ends with a mark where there is no room", () => {
  assert.equal(wrapped("one two three four five", 9, 5), ["one two", "three", "four five"]);
  assert.equal(wrapped("one two three four five six", 9, 2), ["one two", "three …"]);
  assert.equal(wrapped("antidisestablishmentarianism", 9, 2), ["antidise…"]);
  assert.equal(wrapped("", 9, 2), [""]);
});

test.run();
