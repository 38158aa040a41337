import { appendFile, copyFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { fingerprint } from "../../actors/fingerprint.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const test = suite("fingerprint");
const kib = 1024;

for (const size of [0, 1, 64 * kib, 64 * kib + 1, 300 * kib]) {
  test(`a file of ${size} bytes has the same one again, also by another name`, async () => {
    await using folder = await temporaryFolder();
    const [a, b, c] = ["a", "b", "c"].map((name) => join(folder.path, name)) as [string, string, string];
    await writeFile(a, Buffer.alloc(size, "x"));
    const print = await fingerprint(a);
    assert.match(print, new RegExp(`^${size}-[0-9a-f]{32}$`));
    assert.is(await fingerprint(a), print);
    await copyFile(a, b);
    assert.is(await fingerprint(b), print);
    await rename(b, c);
    assert.is(await fingerprint(c), print);
  });
}

for (const size of [1, 64 * kib, 300 * kib]) {
  for (const [what, at] of [["first", 0], ["last", size - 1]] as const) {
    test(`another ${what} byte of ${size} gives another one`, async () => {
      await using folder = await temporaryFolder();
      const path = join(folder.path, "a");
      const content = Buffer.alloc(size, "x");
      await writeFile(path, content);
      const print = await fingerprint(path);
      content[at] = 0;
      await writeFile(path, content);
      assert.is.not(await fingerprint(path), print);
    });
  }
}

test("a file that has grown has another one", async () => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, "a");
  await writeFile(path, "a\n");
  const print = await fingerprint(path);
  await appendFile(path, "b\n");
  assert.is.not(await fingerprint(path), print);
});

test.run();
