import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { csv } from "../../actors/index.ts";
import { rejection } from "../support/rejection.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { type DeadLetter, placesOf, readAll } from "./reading.ts";
import { Chance, seed } from "./seeded.ts";

const test = suite("csv.source");

interface Position { offset: number; line: number }

async function written(folder: string, content: string | Buffer): Promise<string> {
  const path = join(folder, "feed.csv");
  await writeFile(path, content);
  return path;
}

const cases: readonly (readonly [guarantee: string, content: string | Buffer, data: readonly object[], dead?: readonly string[]])[] = [
  ["an empty file has no events", "", []],
  ["a header alone has no events", "a,b\n", []],
  ["a header without newline has no events", "a,b", []],
  ["columns are texts, named by the header", "a,b\n1,x\n2,\n", [{ a: "1", b: "x" }, { a: "2", b: "" }]],
  ["the last record needs no newline", "a\n1\n2", [{ a: "1" }, { a: "2" }]],
  ["CRLF ends a record as LF does", "a,b\r\n1,2\r\n3,4", [{ a: "1", b: "2" }, { a: "3", b: "4" }]],
  ["a byte order mark is passed over", "\ufeffa\n1\n", [{ a: "1" }]],
  ["empty lines are passed over, before the header, too", "\n\r\na\n\n1\n\n", [{ a: "1" }]],
  ["quoted fields hold commas, quotes and newlines", 'a,b\n"1,5","say ""x"""\n"two\nlines",\r\n', [{ a: "1,5", b: 'say "x"' }, { a: "two\nlines", b: "" }]],
  ["a quoted header is one", '"a,1","b"\n1,2\n', [{ "a,1": "1", b: "2" }]],
  ["a CR that ends no line belongs to its field", "a,b\n1,2\r\r\n3,4\n5,6\r", [{ a: "1", b: "2\r" }, { a: "3", b: "4" }, { a: "5", b: "6\r" }]],
  ["a column without a name is passed over", "a,,b,\n1,2,3,\n", [{ a: "1", b: "3" }]],
  ["a record with too few fields is given up", "a,b\n1,2\n3\n4,5\n", [{ a: "1", b: "2" }, { a: "4", b: "5" }], ["feed.csv:3"]],
  ["a record with too many fields is given up", "a,b\n1,2,3\n4,5\n", [{ a: "4", b: "5" }], ["feed.csv:2"]],
  ["a stray quote is given up", 'a,b\nx"y,1\n2,3\n"x"y,4\n5,6\n', [{ a: "2", b: "3" }, { a: "5", b: "6" }], ["feed.csv:2", "feed.csv:4"]],
  ["a quote that never closes costs one line", 'a,b\n1,"2\n3,4\n5,6\n', [{ a: "3", b: "4" }, { a: "5", b: "6" }], ["feed.csv:2"]],
  ["lines are counted through records of several lines", 'a,b\n"x\ny\nz",1\n2\n3,4\n', [{ a: "x\ny\nz", b: "1" }, { a: "3", b: "4" }], ["feed.csv:5"]],
  ["a record that is no UTF-8 is given up", Buffer.concat([Buffer.from("a\nä\n"), Buffer.from([0xff]), Buffer.from("\nö\n")]), [{ a: "ä" }, { a: "ö" }], ["feed.csv:3"]],
];
for (const [guarantee, content, data, dead = []] of cases) {
  test(guarantee, async () => {
    await using folder = await temporaryFolder();
    const taken = await readAll<Position>(csv.source(await written(folder.path, content)));
    assert.equal(taken.data, data);
    assert.equal(placesOf(taken.dead), dead);
    for (const { error } of taken.dead) assert.is(error.code, "LINE_INVALID");
  });
}

test("a dead letter says what is wrong, and not where else", async () => {
  await using folder = await temporaryFolder();
  const [{ raw, error }] = (await readAll<Position>(csv.source(await written(folder.path, "a,b\n1,2\n1\n")))).dead as [DeadLetter];
  assert.is(raw, "1");
  assert.match(error.message, "line 3 cannot be read: Invalid Record Length: columns length is 2, got 1 (LINE_INVALID");
});

test("a record above 8 MiB is given up, also behind a quote that never closes", async () => {
  await using folder = await temporaryFolder();
  const long = "x".repeat(9 * 1024 * 1024);
  const taken = await readAll<Position>(csv.source(await written(folder.path, `a,b\n1,2\n${long},3\n4,5\n6,"7\n${`8,${"9".repeat(100)}\n`.repeat(90_000)}`)));
  assert.is(taken.data.length, 2 + 90_000);
  assert.equal(taken.data.slice(0, 3), [{ a: "1", b: "2" }, { a: "4", b: "5" }, { a: "8", b: "9".repeat(100) }]);
  assert.equal(placesOf(taken.dead), ["feed.csv:3", "feed.csv:5"]);
});

const headers: readonly (readonly [guarantee: string, content: string | Buffer, says: RegExp])[] = [
  ["a header that names a column twice is refused", "a,b,a\n1,2,3\n", /two columns are named "a"/],
  ["a header with an open quote is refused", 'a,"b\n1,2\n', /Quote Not Closed/],
  ["a header that is no UTF-8 is refused", Buffer.from([0x61, 0xff, 0x0a]), /no UTF-8/],
  ["a header above 8 MiB is refused", "x".repeat(9 * 1024 * 1024), /does not end within/],
];
for (const [guarantee, content, says] of headers) {
  test(guarantee, async () => {
    await using folder = await temporaryFolder();
    const error = await rejection(readAll<Position>(csv.source(await written(folder.path, content))));
    assert.is(error.code, "CSV_HEADER_INVALID");
    assert.match(error.message, says);
    assert.ok(error.where.endsWith("feed.csv:1"));
  });
}

test("from every position the same remainder is read, with the right lines; nothing is given up twice or forgotten", async () => {
  await using folder = await temporaryFolder();
  for (let round = 0; round < 60; round++) {
    const chance = new Chance(seed + round);
    const cell = () => chance.of(["", "1", "süß", '"a,b"', '"x\ny"', '"q""q"', '"\r\n"', chance.below(20) === 0 ? `"${"long,\n".repeat(60_000)}"` : "z"]);
    const parts = ["a,b,c"];
    const bad = new Set<number>();
    for (let i = 1; i <= chance.below(40); i++) {
      const kind = chance.below(10);
      if (kind === 8) bad.add(parts.length);
      parts.push(kind < 8 ? `${cell()},${cell()},${cell()}` : kind === 8 ? chance.of(["1", "1,2,3,4", 'x"y,1,2']) : "");
    }
    const ending = chance.of(["\n", "\r\n"]);
    const content = (chance.below(3) === 0 ? "\ufeff" : "") + parts.join(ending) + (chance.below(2) === 0 ? ending : "");
    const deadLines = [...bad].map((index) => parts.slice(0, index).join("\n").split("\n").length + 1);
    const source = csv.source(await written(folder.path, content));
    const whole = await readAll<Position>(source);
    const about = `seed ${seed + round}`;
    assert.is(whole.data.length, parts.filter((part, i) => i > 0 && part !== "" && !bad.has(i)).length, about);
    assert.equal(placesOf(whole.dead), deadLines.map((line) => `feed.csv:${line}`), about);
    for (const [i, from] of whole.positions.entries()) {
      const rest = await readAll<Position>(source, { from });
      assert.equal(rest.data, whole.data.slice(i + 1), `${about}, after event ${i}`);
      const by = whole.arrays.find(({ events }) => events > i)?.dead as number;
      assert.equal([...placesOf(whole.dead.slice(0, by)), ...placesOf(rest.dead)], placesOf(whole.dead), `${about}, after event ${i}`);
    }
  }
});

test.run();
