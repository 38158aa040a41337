import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { text } from "../../actors/index.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { placesOf, readAll } from "./reading.ts";

const test = suite("text.source");

const cases: readonly (readonly [guarantee: string, content: string | Buffer, data: readonly string[], dead?: readonly string[]])[] = [
  ["an empty file has no lines", "", []],
  ["a newline ends a line, it does not begin one", "a\n", ["a"]],
  ["the last line needs no newline", "a\nb", ["a", "b"]],
  ["an empty line is an empty text", "\na\n\n", ["", "a", ""]],
  ["CRLF is taken off as LF is, a lone CR stays", "a\r\nb\rc\n\r\n", ["a", "b\rc", ""]],
  ["a byte order mark is passed over", "\ufeffa\n", ["a"]],
  ["spaces are kept", "  a \t\n", ["  a \t"]],
  ["a line that is no UTF-8 is given up", Buffer.concat([Buffer.from("a\n"), Buffer.from([0xc3, 0x28]), Buffer.from("\nb")]), ["a", "b"], ["feed.txt:2"]],
];
for (const [guarantee, content, data, dead = []] of cases) {
  test(guarantee, async () => {
    await using folder = await temporaryFolder();
    const path = join(folder.path, "feed.txt");
    await writeFile(path, content);
    const taken = await readAll<{ offset: number; line: number }>(text.source(path));
    assert.equal(taken.data, data);
    assert.equal(placesOf(taken.dead), dead);
    for (const [i, from] of taken.positions.entries()) assert.equal((await readAll(text.source(path), { from })).data, data.slice(i + 1));
  });
}

test("lines are the same wherever the blocks of the file end", async () => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, "feed.txt");
  const lines = Array.from({ length: 3000 }, (_, n) => "ä".repeat((n * 7919) % 613) + n);
  await writeFile(path, lines.join("\r\n"));
  assert.equal((await readAll(text.source(path))).data, lines);
});

test.run();
