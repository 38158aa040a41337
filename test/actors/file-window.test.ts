// What is said when a file cannot be read, the same for all file sources.
import { spawnSync } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { FileWindow, fileFault } from "../../actors/file-window.ts";
import { csv, json, jsonl, text } from "../../actors/index.ts";
import { MillraceError, UnavailableError } from "../../runtime/event/errors.ts";
import { rejection } from "../support/rejection.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { pull, readAll } from "./reading.ts";

const test = suite("file-window");
const signal = new AbortController().signal;

for (const [kind, source] of Object.entries({ csv: csv.source, json: json.source, jsonl: jsonl.source, text: text.source })) {
  const tries = (path: string) => [() => readAll(source(path)), () => pull(source(path)).fingerprint?.() as Promise<string>];

  test(`${kind}: a file that is not there is told with its path and what to do`, async () => {
    await using folder = await temporaryFolder();
    for (const path of [join(folder.path, "nothing"), join(folder.path, "no", "nothing")]) {
      for (const attempt of tries(path)) {
        const error = await rejection(attempt());
        assert.is(error.code, "FILE_MISSING");
        assert.is(error.where, path);
        assert.match(error.message, `there is no file ${path}`);
        assert.match(error.remedy, /folder in which the flow is started/);
      }
    }
  });

  test(`${kind}: a folder is no file`, async () => {
    await using folder = await temporaryFolder();
    for (const attempt of tries(folder.path)) {
      const error = await rejection(attempt());
      assert.is(error.code, "FILE_UNREADABLE");
      assert.match(error.message, /is a folder, no file/);
    }
  });

  test(`${kind}: a pipe is refused and not waited for`, async () => {
    await using folder = await temporaryFolder();
    const path = join(folder.path, "pipe");
    assert.is(spawnSync("mkfifo", [path]).status, 0);
    for (const attempt of tries(path)) assert.is((await rejection(attempt())).code, "FILE_UNREADABLE");
  });
}

test("a path whose folder is a file is missing", async () => {
  await using folder = await temporaryFolder();
  await writeFile(join(folder.path, "file"), "");
  assert.is((await rejection(FileWindow.open(join(folder.path, "file", "x"), 0, signal))).code, "FILE_MISSING");
});

test("no permission is told to a person", () => {
  for (const code of ["EACCES", "EPERM"]) {
    const error = fileFault("feed.csv", Object.assign(new Error("no"), { code })) as MillraceError;
    assert.is(error.code, "FILE_UNREADABLE");
    assert.match(error.message, /no permission/);
    assert.match(error.remedy, /user who runs the flow/);
  }
});

test("what passes by itself is waited for", () => {
  for (const code of ["EMFILE", "EIO", "ESTALE"]) assert.instance(fileFault("feed.csv", Object.assign(new Error("no"), { code })), UnavailableError);
});

test("what is none of the system's errors is let through", () => {
  for (const error of [new MillraceError("X", "y", "z", "w"), new TypeError("x"), "text"]) assert.is(fileFault("feed.csv", error), error);
});

test("the bytes are those of the file, whatever is kept of them", async () => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, "feed");
  const content = Buffer.from(Array.from({ length: 1_500_000 }, (_, i) => (i * 31 + (i >> 8)) & 0xff));
  await mkdir(folder.path, { recursive: true });
  await writeFile(path, content);
  for (const share of [0, 0.3, 1]) {
    const window = await FileWindow.open(path, 7, signal);
    try {
      const done: Buffer[] = [];
      for (let n = 0; await window.more(n); ) {
        assert.ok(window.bytes.equals(content.subarray(window.offset, window.offset + window.bytes.length)));
        n = Math.floor(window.bytes.length * share);
        done.push(Buffer.from(window.bytes.subarray(0, n)));
      }
      assert.ok(Buffer.concat([...done, window.bytes]).equals(content.subarray(7)), `share ${share}`);
    } finally {
      await window.close();
    }
  }
});

test.run();
