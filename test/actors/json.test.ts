import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { json } from "../../actors/index.ts";
import type { MillraceError } from "../../runtime/event/errors.ts";
import { rejection } from "../support/rejection.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { type DeadLetter, placesOf, pull, readAll } from "./reading.ts";

const test = suite("json.source");

async function written(folder: string, content: string | Buffer): Promise<string> {
  const path = join(folder, "feed.json");
  await writeFile(path, content);
  return path;
}

const cases: readonly (readonly [guarantee: string, content: string, at: string, data: readonly unknown[]])[] = [
  ["the document itself may be the array", ' [1, "x", null, {"a":[]}, [2], true, -1.5e3] \n', "", [1, "x", null, { a: [] }, [2], true, -1500]],
  ["an empty array has no events", "[]", "", []],
  ["an array under a name is found", '{"type":"x","features":[{"id":1},{"id":2}],"end":{"a":[1]}}', "features", [{ id: 1 }, { id: 2 }]],
  ["a path goes through objects and lists", '{"a":[{"b":[0]},{"b":[1,2]}],"b":[3]}', "a.1.b", [1, 2]],
  ["the same name elsewhere is passed over", '{"x":{"list":[1]},"list":[2],"y":[{"list":[3]}]}', "list", [2]],
  ["a list in a list is found", "[[1],[[2,3]],[4]]", "1.0", [2, 3]],
  ["a byte order mark is passed over", "\ufeff[1]", "", [1]],
  ["an escaped name is the name that it stands for", '{"f\\u0065at":[1]}', "feat", [1]],
  ["brackets, quotes and commas in texts are no structure", '{"a":"]}\\"[","b":["]","\\\\","a,b","{\\"",""]}', "b", ["]", "\\", "a,b", '{"', ""]],
  ["spaces and newlines may be anywhere", '\r\n{ "a" :\t[ 1 ,\n2\t] ,"b" : 1 }\n', "a", [1, 2]],
];
for (const [guarantee, content, at, data] of cases) {
  test(guarantee, async () => {
    await using folder = await temporaryFolder();
    const path = await written(folder.path, content);
    const taken = await readAll<number>(json.source(path, { at }));
    assert.equal(taken.data, data);
    assert.equal(taken.positions, data.map((_, i) => i + 1));
    for (let from = 0; from <= data.length; from++) assert.equal((await readAll<number>(json.source(path, { at }), { from })).data, data.slice(from));
  });
}

const faults: readonly (readonly [guarantee: string, content: string, at: string, code: string, where: string, says: RegExp])[] = [
  ["an empty file is no document", "", "", "JSON_INVALID", ":1:1", /the file is empty/],
  ["a path that leads nowhere names what is there", '{"type":"x",\n"features":[]\n}', "featuers", "JSON_PATH_MISSING", ":3:1", /there is no "featuers": the document has "type", "features"/],
  ["a path that leads nowhere deeper in names what is there", '{"a":{"b":1}}', "a.c", "JSON_PATH_MISSING", ":1:12", /there is no "a\.c": "a" has "b"/],
  ["a path beyond the end of a list tells its length", "[[1],[2]]", "2", "JSON_PATH_MISSING", ":1:9", /the document has 2 elements/],
  ["a path through an empty object says so", "{}", "a", "JSON_PATH_MISSING", ":1:2", /nothing in it/],
  ["a path through a number says so", '{"a":1}', "a.b", "JSON_PATH_MISSING", ":1:6", /"a" is a number, so there is no "a\.b"/],
  ["a path to an object is no array", '{"a":\n {"b":[]}}', "a", "JSON_NOT_ARRAY", ":2:2", /"a" is an object, no array/],
  ["a document that is an object needs a path", '{"a":[]}', "", "JSON_NOT_ARRAY", ":1:1", /the document is an object, no array/],
  ["a document that is a text is no array", '"x"', "", "JSON_NOT_ARRAY", ":1:1", /is a text/],
  ["a missing comma is told with its place", '{"a":[1,2\n3]}', "a", "JSON_INVALID", ":2:1", /a comma or the end/],
  ["a trailing comma is told with its place", "[1,\n]", "", "JSON_INVALID", ":2:1", /a value is missing/],
  ["a missing colon is told with its place", '{"a" [1]}', "a", "JSON_INVALID", ":1:6", /a colon is missing/],
  ["a name without quotes is told with its place", "{a:[1]}", "a", "JSON_INVALID", ":1:2", /a name in double quotes/],
  ["an element that is broken is told with its place", '[{"a":1},\n {"ä":1 2}]', "", "JSON_INVALID", ":2:9", /Expected ',' or '}'/],
  ["an element with crossed brackets is told with its place", "[1,\n[2}]", "", "JSON_INVALID", ":2:3", /Expected ',' or ']'/],
  ["a word that is none is told with its place", "[nul]", "", "JSON_INVALID", ":1:2", /JSON/],
  ["a document that ends in the middle is told", '{"a":[1,2]', "a", "JSON_INVALID", ":1:11", /ends before it is complete/],
  ["an element that does not end is told with its beginning", '[1,\n{"a":[', "", "JSON_INVALID", ":2:1", /the value that begins here does not end/],
  ["a text that does not end is told with its beginning", '[1,"abc', "", "JSON_INVALID", ":1:4", /the text that begins here does not end/],
  ["a broken value beside the array is told", '{"x":[1 2],"a":[1]}', "a", "JSON_INVALID", ":1:9", /Expected ',' or ']'/],
  ["a broken value behind the array is told", '{"a":[1],"x":tru}', "a", "JSON_INVALID", ":1:14", /JSON/],
  ["what stands behind the document is told", "[1]\n[2]", "", "JSON_INVALID", ":2:1", /behind the document/],
];
for (const [guarantee, content, at, code, where, says] of faults) {
  test(guarantee, async () => {
    await using folder = await temporaryFolder();
    const error = await rejection(readAll<number>(json.source(await written(folder.path, content), { at })));
    assert.is(error.code, code);
    assert.match(error.message, says);
    assert.ok(error.where.endsWith(`feed.json${where}`), error.where);
  });
}

test("columns count characters, and a byte order mark is none", async () => {
  await using folder = await temporaryFolder();
  const error = await rejection(readAll<number>(json.source(await written(folder.path, '\ufeff["süß\u{1f980}" 1]'))));
  assert.ok(error.where.endsWith(":1:9"), error.where);
});

test("an element that is no UTF-8 is given up with its place, its neighbours are read", async () => {
  await using folder = await temporaryFolder();
  const path = await written(folder.path, Buffer.concat([Buffer.from('{"a":["ä",\n  "'), Buffer.from([0xff]), Buffer.from('", "ö"]}')]));
  const taken = await readAll<number>(json.source(path, { at: "a" }));
  assert.equal(taken.data, ["ä", "ö"]);
  assert.equal(placesOf(taken.dead), ["feed.json:2:3"]);
  const { raw, error } = taken.dead[0] as DeadLetter;
  assert.is(error.code, "ELEMENT_INVALID");
  assert.match(error.message, "element 1 cannot be read: it is no UTF-8");
  assert.equal(raw, new Uint8Array([0x22, 0xff, 0x22]));
  assert.equal(taken.arrays, [{ position: 1, events: 1, dead: 0 }, { position: 2, events: 1, dead: 1 }, { position: 3, events: 2, dead: 1 }]);
  assert.equal((await readAll<number>(json.source(path, { at: "a" }), { from: 2 })).dead, []);
});

const mib = 1024 * 1024;
for (const size of [8 * mib + 1, 20 * mib]) {
  test(`an element of ${size} bytes is given up with its beginning, and the rest is read`, async () => {
    await using folder = await temporaryFolder();
    const path = await written(folder.path, `{"skip":"${"s".repeat(size)}","a":[1,"${"x".repeat(size - 2)}",3],"rest":[${"1,".repeat(size / 2)}1]}`);
    const taken = await readAll<number>(json.source(path, { at: "a" }));
    assert.equal(taken.data, [1, 3]);
    assert.is(taken.dead.length, 1);
    const { raw, error } = taken.dead[0] as DeadLetter;
    assert.match(error.message, /longer than 8388608 bytes/);
    assert.equal(raw, new Uint8Array(Buffer.from(`"${"x".repeat(64 * 1024 - 1)}`)));
  });
}

test("an array that became shorter than its position is refused", async () => {
  await using folder = await temporaryFolder();
  const error = await rejection(readAll<number>(json.source(await written(folder.path, "[1,2]")), { from: 3 }));
  assert.is(error.code, "FILE_CHANGED");
  assert.match(error.message, "the array has 2 elements, and 3 were read of it");
});

test("the real feed is read whole, from every hundredth position", async () => {
  const source = json.source<{ id: string }>("examples/data/earthquakes.geojson", { at: "features" });
  const whole = await readAll<number>(source);
  assert.is(whole.data.length, 1707);
  assert.equal(whole.dead, []);
  assert.ok(whole.arrays.length > 2, "as a stream");
  for (let from = 0; from < 1707; from += 100) assert.equal((await readAll<number>(source, { from })).data, whole.data.slice(from));
});

test("reading stops with the signal's reason", async () => {
  await using folder = await temporaryFolder();
  let thrown: unknown;
  await readAll<number>(json.source(await written(folder.path, "[1]")), { signal: AbortSignal.abort(new Error("stopped")) }).catch((error: unknown) => { thrown = error; });
  assert.is((thrown as Error).message, "stopped");
});

test("it tells what it is", () => {
  const { kind, guarantee, ends, start } = pull<number>(json.source("feed.json"));
  assert.equal({ kind, guarantee, ends, start }, { kind: "json", guarantee: "replayable", ends: true, start: 0 });
});

test("a path that is no text is refused at once", () => {
  assert.throws(() => json.source("feed.json", { at: 7 as unknown as string }), (error: MillraceError) => error.code === "OPTION_INVALID");
  assert.throws(() => json.source(""), (error: MillraceError) => error.code === "OPTION_INVALID");
});

test.run();
