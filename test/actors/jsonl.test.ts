import { writeFile } from "node:fs/promises";
import { join, relative } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { jsonl } from "../../actors/index.ts";
import { rejection } from "../support/rejection.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { type DeadLetter, placesOf, pull, readAll } from "./reading.ts";
import { Chance, seed } from "./seeded.ts";

const test = suite("jsonl.source");

interface Position { offset: number; line: number }

async function written(folder: string, content: string | Buffer): Promise<string> {
  const path = join(folder, "feed.jsonl");
  await writeFile(path, content);
  return path;
}

const cases: readonly (readonly [guarantee: string, content: string | Buffer, data: readonly unknown[], dead?: readonly string[]])[] = [
  ["an empty file has no events", "", []],
  ["a file of newlines alone has no events", "\n\r\n\n", []],
  ["a file that is a byte order mark alone has no events", "\ufeff", []],
  ["each line is an event", '{"a":1}\n{"a":2}\n', [{ a: 1 }, { a: 2 }]],
  ["the last line needs no newline", '{"a":1}\n{"a":2}', [{ a: 1 }, { a: 2 }]],
  ["CRLF ends a line as LF does", '{"a":1}\r\n{"a":2}\r\n', [{ a: 1 }, { a: 2 }]],
  ["a byte order mark is passed over", '\ufeff{"a":1}\n', [{ a: 1 }]],
  ["empty lines and lines of spaces are passed over and counted", '1\n\n  \t\n2\nx\n', [1, 2], ["feed.jsonl:5"]],
  ["any JSON value is an event", 'null\ntrue\n"x"\n[1]\n0\n', [null, true, "x", [1], 0]],
  ["characters of several bytes are kept", '"süß"\n"\u{1f980}"\n', ["süß", "\u{1f980}"]],
  ["a bad line is given up with its place, and reading goes on", '1\n{"a":\n3\n', [1, 3], ["feed.jsonl:2"]],
  ["a bad last line without newline is given up", "1\n{", [1], ["feed.jsonl:2"]],
  ["a bad first line is given up", "{\n1\n", [1], ["feed.jsonl:1"]],
  ["a file of bad lines alone is read to its end", "{\n[\nx\n", [], ["feed.jsonl:1", "feed.jsonl:2", "feed.jsonl:3"]],
  ["two values on a line are a bad line", "1 2\n3\n", [3], ["feed.jsonl:1"]],
  ["a line that is no UTF-8 is given up, its neighbours are read", Buffer.concat([Buffer.from('"ä"\n"'), Buffer.from([0xff, 0xc3]), Buffer.from('"\n"ö"\n')]), ["ä", "ö"], ["feed.jsonl:2"]],
];
for (const [guarantee, content, data, dead = []] of cases) {
  test(guarantee, async () => {
    await using folder = await temporaryFolder();
    const taken = await readAll<Position>(jsonl.source(await written(folder.path, content)));
    assert.equal(taken.data, data);
    assert.equal(placesOf(taken.dead), dead);
    for (const { error } of taken.dead) assert.is(error.code, "LINE_INVALID");
  });
}

test("a dead letter holds the line, and says file, line, reason and remedy", async () => {
  await using folder = await temporaryFolder();
  const path = await written(folder.path, '{"a":1}\n{"a":1,}\n');
  const [{ raw, error }] = (await readAll<Position>(jsonl.source(path))).dead as [DeadLetter];
  assert.is(raw, '{"a":1,}');
  assert.match(error.message, `line 2 cannot be read: Expected double-quoted property name in JSON`);
  assert.match(error.message, `${path}:2`);
  assert.match(error.remedy, /replay the dead letter/);
});

test("a dead letter holds the bytes of a line that is no UTF-8", async () => {
  await using folder = await temporaryFolder();
  const path = await written(folder.path, Buffer.from([0x22, 0xff, 0x22, 0x0d, 0x0a]));
  const [{ raw, error }] = (await readAll<Position>(jsonl.source(path))).dead as [DeadLetter];
  assert.equal(raw, new Uint8Array([0x22, 0xff, 0x22]));
  assert.match(error.message, /no UTF-8/);
});

const mib = 1024 * 1024;
for (const [what, size] of [["far", 20 * mib], ["just", 8 * mib + 1]] as const) {
  for (const [where, end] of [["in the middle", "\n3\n"], ["at the end, with a newline", "\n"], ["at the end, without one", ""]] as const) {
    test(`a line ${what} above 8 MiB ${where} is given up with its beginning, and the rest is read`, async () => {
      await using folder = await temporaryFolder();
      const path = await written(folder.path, `1\n"${"x".repeat(size - 2)}"${end}`);
      const taken = await readAll<Position>(jsonl.source(path));
      assert.equal(taken.data, end.includes("3") ? [1, 3] : [1]);
      assert.equal(placesOf(taken.dead), ["feed.jsonl:2"]);
      const { raw, error } = taken.dead[0] as DeadLetter;
      assert.match(error.message, /longer than 8388608 bytes/);
      assert.ok((raw as string | Uint8Array).length <= 64 * 1024);
      if (end.includes("3")) assert.equal(taken.positions.at(-1), { offset: 2 + size + 3, line: 4 });
    });
  }
}

test("a line of just 8 MiB is an event", async () => {
  await using folder = await temporaryFolder();
  const path = await written(folder.path, `1\n"${"x".repeat(8 * mib - 2)}"\n3\n`);
  const taken = await readAll<Position>(jsonl.source(path));
  assert.is((taken.data[1] as string).length, 8 * mib - 2);
  assert.is(taken.data.length, 3);
  assert.equal(taken.dead, []);
});

test("arrays hold at most 1,024 events, and all of them in order", async () => {
  await using folder = await temporaryFolder();
  const expected = Array.from({ length: 50_000 }, (_, n) => ({ n }));
  const path = await written(folder.path, expected.map((data) => JSON.stringify(data)).join("\n"));
  const taken = await readAll<Position>(jsonl.source(path));
  assert.equal(taken.data, expected);
  assert.ok(taken.arrays.every(({ events }, i) => events - (taken.arrays[i - 1]?.events ?? 0) <= 1024));
});

/** A file of good, bad, empty, long and broken lines, and what it must give. */
function madeUp(chance: Chance): { content: Buffer; events: { data: unknown; line: number }[]; deadLines: number[] } {
  const parts: Buffer[] = chance.below(3) === 0 ? [Buffer.from("\ufeff")] : [];
  const events: { data: unknown; line: number }[] = [];
  const deadLines: number[] = [];
  const lines = chance.below(40);
  const long = chance.below(4) === 0;
  for (let line = 1; line <= lines; line++) {
    const kind = chance.below(10);
    if (kind < 6) {
      const data = { line, text: chance.of(["", "x", "süß \u{1f980}", "a\\n\"b\"", "y".repeat(chance.below(long ? 300_000 : 50))]) };
      events.push({ data, line });
      parts.push(Buffer.from(JSON.stringify(data)));
    } else if (kind < 8) {
      deadLines.push(line);
      parts.push(kind === 6 ? Buffer.from(`{"line":${line}`) : Buffer.from([0x22, 0xff, 0x22]));
    } else if (kind === 8) {
      parts.push(Buffer.from(" ".repeat(chance.below(3))));
    }
    if (line < lines || chance.below(2) === 0) parts.push(Buffer.from(chance.of(["\n", "\r\n"])));
  }
  return { content: Buffer.concat(parts), events, deadLines };
}

test("from every position the same remainder is read, with the right lines; nothing is given up twice or forgotten", async () => {
  await using folder = await temporaryFolder();
  for (let round = 0; round < 60; round++) {
    const { content, events, deadLines } = madeUp(new Chance(seed + round));
    const source = jsonl.source(await written(folder.path, content));
    const whole = await readAll<Position>(source);
    const about = `seed ${seed + round}`;
    assert.equal(whole.data, events.map(({ data }) => data), about);
    assert.equal(placesOf(whole.dead), deadLines.map((line) => `feed.jsonl:${line}`), about);
    for (const [i, from] of whole.positions.entries()) {
      const rest = await readAll<Position>(source, { from });
      assert.equal(rest.data, whole.data.slice(i + 1), `${about}, after event ${i}`);
      const by = whole.arrays.find(({ events }) => events > i)?.dead as number;
      assert.equal([...placesOf(whole.dead.slice(0, by)), ...placesOf(rest.dead)], placesOf(whole.dead), `${about}, after event ${i}`);
    }
  }
});

test("a path is taken as seen from the folder of the process", async () => {
  await using folder = await temporaryFolder();
  const path = relative(process.cwd(), await written(folder.path, "1\n"));
  assert.equal((await readAll<Position>(jsonl.source(path))).data, [1]);
});

test("reading stops with the signal's reason, and not as if the file had ended", async () => {
  await using folder = await temporaryFolder();
  const stop = new AbortController();
  stop.abort(new Error("stopped"));
  const path = await written(folder.path, "1\n");
  let thrown: unknown;
  await readAll<Position>(jsonl.source(path), { signal: stop.signal }).catch((error: unknown) => { thrown = error; });
  assert.is((thrown as Error).message, "stopped");
});

test("a file that became shorter than its position is refused", async () => {
  await using folder = await temporaryFolder();
  const path = await written(folder.path, "1\n");
  const error = await rejection(readAll<Position>(jsonl.source(path), { from: { offset: 100, line: 7 } }));
  assert.is(error.code, "FILE_CHANGED");
  assert.match(error.message, /shorter than the 100 bytes/);
});

test("a file in which no line begins at the position is refused", async () => {
  await using folder = await temporaryFolder();
  const path = await written(folder.path, "123\n456\n");
  assert.is((await rejection(readAll<Position>(jsonl.source(path), { from: { offset: 2, line: 2 } }))).code, "FILE_CHANGED");
});

test("it tells what it is", async () => {
  const { kind, guarantee, ends, start } = pull<Position>(jsonl.source("feed.jsonl"));
  assert.equal({ kind, guarantee, ends, start }, { kind: "jsonl", guarantee: "replayable", ends: true, start: { offset: 0, line: 1 } });
});

for (const path of ["", undefined, 7, "a\0b"]) {
  test(`the path ${JSON.stringify(path)} is refused at once`, () => {
    assert.throws(() => jsonl.source(path as string), (error: Error & { code?: string }) => error.code === "OPTION_INVALID");
    assert.throws(() => jsonl.sink(path as string), (error: Error & { code?: string }) => error.code === "OPTION_INVALID");
  });
}

test.run();
