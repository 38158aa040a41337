import { spawnSync } from "node:child_process";
import * as fs from "node:fs/promises";
import { lstat, mkdir, open, readdir, readFile, readlink, rename, rm, stat, symlink, truncate, writeFile } from "node:fs/promises";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { type FileMark, fileSink } from "../../actors/file-sink.ts";
import { csv, jsonl, text } from "../../actors/index.ts";
import type { Files } from "../../actors/result-file.ts";
import { UnavailableError } from "../../runtime/event/errors.ts";
import type { Batch } from "../../runtime/flow/sink.ts";
import { gate } from "../support/gate.ts";
import { rejection } from "../support/rejection.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { Chance, seed } from "./seeded.ts";
import { batch, generation, session, transactional } from "./writing.ts";

const test = suite("file-sink");
const content = (path: string) => readFile(path, "utf8");
const kindOf = async (path: string) => { const found = await lstat(path); return found.isSymbolicLink() ? `link to ${await readlink(path)}` : "file"; };

test("the file grows beside a link, and is under its own name when the flow has ended", async () => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, "a", "b", "out.txt");
  await using sink = await session(text.sink(path));
  assert.equal(await sink.write(batch(1, "one", "two")), { offset: 8, generation });
  assert.is(await kindOf(path), `link to out.txt.${generation}`);
  assert.is(await content(path), "one\ntwo\n");
  assert.equal(await sink.write(batch(2, "three")), { offset: 14, generation });
  assert.is(await content(path), "one\ntwo\nthree\n");
  await sink.finish?.();
  assert.is(await kindOf(path), "file");
  assert.is(await content(path), "one\ntwo\nthree\n");
  assert.equal(await readdir(join(folder.path, "a", "b")), ["out.txt"]);
});

test("a flow without events leaves an empty file, and not the one of an earlier run", async () => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, "out.txt");
  await writeFile(path, "old\n");
  await using sink = await session(text.sink(path));
  assert.is(await content(path), "old\n");
  await sink.finish?.();
  await sink.finish?.();
  assert.is(await content(path), "");
  assert.equal(await readdir(folder.path), ["out.txt"]);
});

test("a flow without events leaves nothing of a run that was given up", async () => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, "out.txt");
  {
    await using before = await session(text.sink(path), { generation: "oldrun00-1" });
    await before.write(batch(1, "old"));
  }
  await using sink = await session(text.sink(path));
  await sink.finish?.();
  assert.is(await content(path), "");
  assert.equal(await readdir(folder.path), ["out.txt"]);
});

test("what an earlier run left is there until the first batch of the next one is", async () => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, "out.txt");
  await writeFile(path, "old\n");
  await using sink = await session(text.sink(path));
  assert.is(await content(path), "old\n");
  await sink.write(batch(1, "new"));
  assert.is(await content(path), "new\n");
});

test("a path may be relative, and have the number of the partition in it", async () => {
  await using folder = await temporaryFolder();
  const path = relative(process.cwd(), join(folder.path, "out-{partition}.txt"));
  await using zero = await session(text.sink(path), { partition: 0, actor: "flow/report/0" });
  await using one = await session(text.sink(path), { partition: 1, actor: "flow/report/1" });
  await zero.write(batch(1, "zero"));
  await one.write(batch(1, "one"));
  await zero.finish?.();
  await one.finish?.();
  assert.is(await content(join(folder.path, "out-0.txt")), "zero\n");
  assert.is(await content(join(folder.path, "out-1.txt")), "one\n");
});

test("only a path for each partition lets several actors share the work", () => {
  assert.is(transactional(text.sink("out.txt")).divisible, false);
  assert.is(transactional(text.sink("out-{partition}.txt")).divisible, true);
});

// Every crash between two steps of three batches, and everything that the journal may know by then.
const data = [["one", "two"], ["three"], ["four", "süß"]];
const whole = "one\ntwo\nthree\nfour\nsüß\n";
for (let written = 0; written <= 3; written++) {
  for (const known of written === 0 ? [0] : [written - 1, written]) {
    test(`after a crash with ${written} batches written and ${known} recorded the file ends up the same, byte for byte`, async () => {
      await using folder = await temporaryFolder();
      const path = join(folder.path, "out.txt");
      const marks: FileMark[] = [{ offset: 0 }];
      {
        await using before = await session(text.sink(path));
        for (let n = 1; n <= written; n++) marks.push(await before.write(batch(n, ...(data[n - 1] as string[]))));
      }
      await using after = await session(text.sink(path), { last: { batch: known, mark: marks[known] as FileMark } });
      assert.equal(after.written, { batch: known, mark: marks[known] });
      for (let n = known + 1; n <= 3; n++) await after.write(batch(n, ...(data[n - 1] as string[])));
      await after.finish?.();
      assert.is(await content(path), whole);
      assert.equal(await readdir(folder.path), ["out.txt"]);
    });
  }
}

test("a batch that was written in part is written whole at its place", async () => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, "out.txt");
  let mark: FileMark;
  {
    await using before = await session(text.sink(path));
    mark = await before.write(batch(1, "one"));
  }
  await writeFile(join(folder.path, `out.txt.${generation}`), "one\ntw", { flag: "w" });
  await using after = await session(text.sink(path), { last: { batch: 1, mark } });
  await after.write(batch(2, "two", "three"));
  assert.is(await content(path), "one\ntwo\nthree\n");
});

test("a zombie that writes late writes the same bytes to the same place", async () => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, "out.txt");
  await using zombie = await session(text.sink(path));
  const mark = await zombie.write(batch(1, "one"));
  await using owner = await session(text.sink(path), { last: { batch: 1, mark } });
  await owner.write(batch(2, "two"));
  await owner.write(batch(3, "three"));
  await zombie.write(batch(2, "two"));
  assert.is(await content(path), "one\ntwo\nthree\n");
  await owner.finish?.();
  await zombie.write(batch(3, "three"));
  assert.is(await content(path), "one\ntwo\nthree\n");
  assert.is(await kindOf(path), "file");
});

test("a zombie that begins when the flow has ended does no harm to the result", async () => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, "out.txt");
  await writeFile(path, "old\n");
  await using zombie = await session(text.sink(path));
  await using owner = await session(text.sink(path));
  await owner.write(batch(1, "one", "two"));
  await owner.finish?.();
  await zombie.write(batch(1, "one", "two"));
  assert.is(await kindOf(path), "file");
  assert.is(await content(path), "one\ntwo\n");
});

test("a zombie of a run that was given up does no harm to the next one", async () => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, "out.txt");
  const warnings: string[] = [];
  await using zombie = await session(text.sink(path), { generation: "oldrun00-1", warn: (message) => warnings.push(message) });
  await using owner = await session(text.sink(path));
  await owner.write(batch(1, "new"));
  await zombie.write(batch(1, "old"));
  assert.is(await content(path), "new\n");
  assert.is(warnings.length, 1);
  await owner.finish?.();
  assert.is(await content(path), "new\n");
  await owner.close?.();
  await using third = await session(text.sink(path), { generation: "thirdrun-1" });
  await third.finish?.();
  assert.equal(await readdir(folder.path), ["out.txt"], "what the zombie wrote is removed by the run after that");
});

test("a run that was given up leaves nothing behind once the next one has something to show", async () => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, "out.txt");
  {
    await using before = await session(text.sink(path), { generation: "oldrun00-1" });
    await before.write(batch(1, "old"));
  }
  await using after = await session(text.sink(path));
  assert.is(await content(path), "old\n");
  await after.write(batch(1, "new"));
  assert.equal((await readdir(folder.path)).sort(), ["out.txt", `out.txt.${generation}`]);
});

test("what a run left that died before its link was in place is removed in the end, and nothing else", async () => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, "out.txt");
  const at = (name: string) => join(folder.path, name);
  await writeFile(at("out.txt.oldrun00-3"), "half\n");
  await symlink("out.txt.oldrun00-3", at("out.txt.oldrun00-3.0badcafe.link"));
  await symlink(`out.txt.${generation}`, at(`out.txt.${generation}.0badcafe.link`));
  const kept = ["out.txt.archived-1", "out.txt.bak", "out.txt.other000-1.0badcafe.link", "out2.txt.oldrun00-1"];
  for (const name of kept) await writeFile(at(name), "mine");
  await using sink = await session(text.sink(path));
  await sink.write(batch(1, "one"));
  await sink.finish?.();
  assert.equal((await readdir(folder.path)).sort(), ["out.txt", ...kept].sort());
});

test("finish may be called again, in the same life and in the next one", async () => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, "out.txt");
  let mark: FileMark;
  {
    await using before = await session(text.sink(path));
    mark = await before.write(batch(1, "one"));
    await before.finish?.();
    await before.finish?.();
  }
  await using after = await session(text.sink(path), { last: { batch: 1, mark } });
  await after.finish?.();
  assert.is(await content(path), "one\n");
  assert.equal(await readdir(folder.path), ["out.txt"]);
});

test("finish goes on where a crash interrupted it", async () => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, "out.txt");
  let mark: FileMark;
  {
    await using before = await session(text.sink(path));
    mark = await before.write(batch(1, "one"));
  }
  await rename(`${path}.${generation}`, `${path}.${generation}.done`);
  await using after = await session(text.sink(path), { last: { batch: 1, mark } });
  await after.finish?.();
  assert.is(await content(path), "one\n");
  assert.equal(await readdir(folder.path), ["out.txt"]);
});

test("under a new generation of the same run the file goes on", async () => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, "out.txt");
  let mark: FileMark;
  {
    await using before = await session(text.sink(path));
    mark = await before.write(batch(1, "one"));
  }
  await using after = await session(text.sink(path), { last: { batch: 1, mark }, generation: "k3v9x2ab-2" });
  await after.write(batch(2, "two"));
  await after.finish?.();
  assert.is(await content(path), "one\ntwo\n");
});

const losses: readonly (readonly [what: string, lose: (path: string) => Promise<void>])[] = [
  ["is gone", (path) => rm(`${path}.${generation}`)],
  ["is shorter than its mark", (path) => truncate(`${path}.${generation}`, 3)],
];
for (const [what, lose] of losses) {
  test(`a file that ${what} is not written on`, async () => {
    await using folder = await temporaryFolder();
    const path = join(folder.path, "out.txt");
    let mark: FileMark;
    {
      await using before = await session(text.sink(path));
      mark = await before.write(batch(1, "one"));
    }
    await lose(path);
    const error = await rejection(session(text.sink(path), { last: { batch: 1, mark } }));
    assert.is(error.code, "SINK_LOST");
    assert.match(error.message, `4 bytes were written to ${path}.${generation}, and ${what === "is gone" ? "the file is gone" : "3 are there"}`);
    assert.match(error.remedy, /--fresh/);
  });

  test(`a file that ${what} while the flow runs is noticed by the next batch or the end`, async () => {
    await using folder = await temporaryFolder();
    const path = join(folder.path, "out.txt");
    await using sink = await session(text.sink(path));
    await sink.write(batch(1, "one"));
    await lose(path);
    if (what !== "is gone") assert.is((await rejection(sink.write(batch(2, "two")))).code, "SINK_LOST");
    assert.is((await rejection((sink.finish as () => Promise<void>)())).code, "SINK_LOST");
  });
}

test("a file to which something else was appended is not called the result", async () => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, "out.txt");
  await using sink = await session(text.sink(path));
  await sink.write(batch(1, "one"));
  await writeFile(path, "more", { flag: "a" });
  assert.is((await rejection((sink.finish as () => Promise<void>)())).code, "SINK_DIVERGED");
});

test("a batch out of order is refused", async () => {
  await using folder = await temporaryFolder();
  await using sink = await session(text.sink(join(folder.path, "out.txt")));
  await sink.write(batch(1, "one"));
  for (const number of [1, 3]) assert.is((await rejection(sink.write(batch(number, "x")))).code, "SINK_DIVERGED");
});

test("an empty batch writes nothing", async () => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, "out.txt");
  await using sink = await session(text.sink(path));
  await sink.write(batch(1));
  await sink.write(batch(2, "one"));
  assert.is(await content(path), "one\n");
});

test("two sinks on one path are refused, the same actor again is not", async () => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, "out.txt");
  {
    await using _first = await session(text.sink(path));
    await using _again = await session(text.sink(path));
    const error = await rejection(session(jsonl.sink(path), { actor: "flow/other/0" }));
    assert.is(error.code, "SINK_TAKEN");
    assert.match(error.message, "is being written to by flow/report/0");
  }
  await using _later = await session(jsonl.sink(path), { actor: "flow/other/0" });
});

const obstacles: readonly (readonly [what: string, put: (path: string, folder: string) => Promise<unknown>])[] = [
  ["a folder", (path) => mkdir(path)],
  ["a link to elsewhere", (path, folder) => symlink(join(folder, "elsewhere.txt"), path)],
];
for (const [what, put] of obstacles) {
  test(`${what} at the path is refused and left alone`, async () => {
    await using folder = await temporaryFolder();
    const path = join(folder.path, "out.txt");
    await put(path, folder.path);
    assert.is((await rejection(session(text.sink(path)))).code, "SINK_UNWRITABLE");
    assert.equal(await readdir(folder.path), ["out.txt"]);
    assert.not((await lstat(path)).isFile());
  });
}

test("a file where a folder of the path should be is refused", async () => {
  await using folder = await temporaryFolder();
  await writeFile(join(folder.path, "file"), "");
  const error = await rejection(session(text.sink(join(folder.path, "file", "out.txt"))));
  assert.is(error.code, "SINK_UNWRITABLE");
});

test("an owner and zombies at the same time: the result is whole, whoever comes first", async () => {
  for (let round = 0; round < 60; round++) {
    const chance = new Chance(seed + round);
    await using folder = await temporaryFolder();
    const path = join(folder.path, "out.txt");
    if (chance.below(2) === 0) await writeFile(path, "old\n");
    const write = async (of: string, last: number) => {
      await using sink = await session(text.sink(path), { generation: of });
      for (let n = 1; n <= last; n++) await sink.write(batch(n, `${of}, batch ${n}`));
    };
    const zombies = [write(generation, chance.below(4)), write(generation, chance.below(4)), write("oldrun00-1", chance.below(3))].map((work) => work.catch((error: unknown) => error));
    for (let turns = chance.below(30); turns > 0; turns--) await stat(folder.path);
    await using owner = await session(text.sink(path));
    for (let n = 1; n <= 3; n++) await owner.write(batch(n, `${generation}, batch ${n}`));
    await owner.finish?.();
    await Promise.all(zombies);
    const about = `seed ${seed + round}`;
    assert.is(await kindOf(path), "file", about);
    assert.is(await content(path), [1, 2, 3].map((n) => `${generation}, batch ${n}\n`).join(""), about);
  }
});

// Formats

const rich = { when: new Date(0), big: 2n ** 70n, bytes: Buffer.from([1, 2]), set: new Set([1]), map: new Map([["a", { n: 1n }]]), nothing: null };
const richJson = '{"when":"1970-01-01T00:00:00.000Z","big":"1180591620717411303424","bytes":"AQI=","set":[1],"map":[["a",{"n":"1"}]],"nothing":null}';

const formats: readonly (readonly [guarantee: string, sink: (path: string) => Parameters<typeof session>[0], data: readonly unknown[], file: string])[] = [
  ["jsonl writes one JSON value a line", jsonl.sink, [{ a: "x\ny" }, "text", 1, null, [1]], '{"a":"x\\ny"}\n"text"\n1\nnull\n[1]\n'],
  ["jsonl loses nothing of what JSON does not know", jsonl.sink, [rich, 5n], `${richJson}\n"5"\n`],
  ["csv writes a header and one record an event", csv.sink, [{ a: 1, b: "x" }, { b: "y", a: 2 }], "a,b\n1,x\n2,y\n"],
  ["csv quotes what needs it", csv.sink, [{ a: 'say "x"', "b,c": "1,5" }, { a: "two\nlines", "b,c": "cr\r" }], 'a,"b,c"\n"say ""x""","1,5"\n"two\nlines","cr\r"\n'],
  ["csv leaves cells empty where nothing is", csv.sink, [{ a: 1, b: 2, c: 3 }, { a: null, b: undefined }], "a,b,c\n1,2,3\n,,\n"],
  ["csv writes a lone empty cell so that it is no empty line", csv.sink, [{ a: "" }, { a: "x" }], 'a\n""\nx\n'],
  ["csv takes names with dots for names", csv.sink, [{ "a.b": 1, "c[0]": 2 }], "a.b,c[0]\n1,2\n"],
  ["csv writes dates, truth values, bigints and JSON", csv.sink, [{ when: new Date(0), yes: true, no: false, big: 5n, list: [1, "x"], of: { n: 1n } }], 'when,yes,no,big,list,of\n1970-01-01T00:00:00.000Z,true,false,5,"[1,""x""]","{""n"":""1""}"\n'],
];
for (const [guarantee, make, given, file] of formats) {
  test(guarantee, async () => {
    await using folder = await temporaryFolder();
    const path = join(folder.path, "out");
    await using sink = await session(make(path));
    await sink.write(batch(1, ...given));
    assert.is(await content(path), file);
  });
}

test("csv keeps its header over a crash: it belongs to the first batch", async () => {
  for (const known of [0, 1]) {
    await using folder = await temporaryFolder();
    const path = join(folder.path, "out.csv");
    let mark: FileMark = { offset: 0 };
    {
      await using before = await session(csv.sink(path));
      const first = await before.write(batch(1, { a: 1, b: 2 }));
      assert.equal(first, { offset: 8, generation, header: ["a", "b"] });
      if (known === 1) mark = first;
    }
    await using after = await session(csv.sink(path), { last: { batch: known, mark } });
    if (known === 0) await after.write(batch(1, { a: 1, b: 2 }));
    await after.write(batch(2, { b: 4 }));
    assert.is(await content(path), "a,b\n1,2\n,4\n");
  }
});

const refusals: readonly (readonly [guarantee: string, sink: (path: string) => Parameters<typeof session>[0], data: readonly unknown[], says: RegExp])[] = [
  ["csv refuses an event with a field for which there is no column", csv.sink, [{ a: 1 }, { a: 1, b: 2 }], /event flow\/felt\/0@k3v9x2ab-1\.1\.1 has a field "b"/],
  ["csv refuses an event that is no object", csv.sink, [{ a: 1 }, [1]], /is no object with fields/],
  ["csv refuses a first event that is no object", csv.sink, ["x"], /is no object with fields/],
  ["text refuses an event that is no text", text.sink, ["a", { a: 1 }], /is no text: text\.sink takes texts/],
];
for (const [guarantee, make, given, says] of refusals) {
  test(`${guarantee}, and writes nothing of the batch`, async () => {
    await using folder = await temporaryFolder();
    await using sink = await session(make(join(folder.path, "out")));
    let thrown: unknown;
    await sink.write(batch(1, ...given)).catch((error: unknown) => { thrown = error; });
    assert.is((thrown as Error).name, "TerminalError");
    assert.match((thrown as Error).message, says);
    assert.equal(await readdir(folder.path), []);
  });
}

// Faults of the disk

/** Files that take a few bytes at a time, and fail when told to; one that failed stays so. */
function failing(fault: { code?: string; at?: "write" | "open"; most?: number }): Files {
  return {
    ...fs,
    async open(path: string, flags: string | number) {
      let broken = false;
      const fail = (at: string) => {
        broken ||= fault.code !== undefined && (fault.at ?? "write") === at;
        if (broken) throw Object.assign(new Error(`${fault.code}: no`), { code: fault.code ?? "EBADF" });
      };
      fail("open");
      const file = await open(path, flags);
      return {
        fd: file.fd,
        sync: () => file.sync(),
        close: () => file.close(),
        async write(bytes: Buffer, offset: number, length: number, position: number) {
          const written = await file.write(bytes, offset, Math.min(length, fault.most ?? length), position);
          fail("write");
          return written;
        },
      };
    },
  } as unknown as Files;
}

const lines = { encode: (events: Batch<string>["events"]) => ({ text: events.map((event) => `${event.data}\n`).join("") }) };

test("a file that takes a few bytes at a time gets them all", async () => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, "out.txt");
  await using sink = await session(fileSink("text", path, lines, failing({ most: 3 })));
  await sink.write(batch(1, "a long line", "another"));
  await sink.write(batch(2, "more"));
  assert.is(await content(path), "a long line\nanother\nmore\n");
});

for (const [code, at] of [["ENOSPC", "write"], ["EIO", "write"], ["EDQUOT", "write"], ["EMFILE", "open"]] as const) {
  test(`${code} suspends the actor with the reason; the same batch again makes the file whole`, async () => {
    await using folder = await temporaryFolder();
    const path = join(folder.path, "out.txt");
    const fault: Parameters<typeof failing>[0] = { most: 2 };
    await using sink = await session(fileSink("text", path, lines, failing(fault)));
    await sink.write(batch(1, "one"));
    const again = at === "open" ? await session(fileSink("text", path, lines, failing(fault)), { last: { batch: 1, mark: { offset: 4, generation } } }) : sink;
    fault.code = code;
    fault.at = at;
    for (let tries = 0; tries < 3; tries++) {
      let thrown: unknown;
      await again.write(batch(2, "two")).catch((error: unknown) => { thrown = error; });
      assert.instance(thrown, UnavailableError);
      assert.match((thrown as Error).message, `${path} cannot be written now: ${code}`);
    }
    delete fault.code;
    assert.equal(await again.write(batch(2, "two")), { offset: 8, generation });
    await again.finish?.();
    await again.close?.();
    assert.is(await content(path), "one\ntwo\n");
  });
}

test("a sink that is closed while it opens its file leaves none open, and writes nothing more", async () => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, "out.txt"), asked = gate(), opened = gate();
  let isOpen = 0, opens = 0;
  const slow = {
    ...fs,
    async open(name: string, flags: string | number) {
      const file = await open(name, flags), { close } = file;
      opens++;
      isOpen++;
      file.close = () => { isOpen--; return close.call(file); };
      if (name !== folder.path && flags !== "a") { asked.open(); await opened.opened; }
      return file;
    },
  } as unknown as Files;
  const sink = await session(fileSink("text", path, lines, slow)), writing = rejection(sink.write(batch(1, "one")));
  await asked.opened;
  await sink.close?.();
  assert.is(isOpen, 1);
  opened.open();
  assert.is((await writing).code, "SINK_CLOSED");
  assert.equal([isOpen, await content(`${path}.${generation}`)], [0, ""]);
  const before = opens;
  assert.is((await rejection(sink.write(batch(1, "one")))).code, "SINK_CLOSED");
  assert.equal([opens, isOpen], [before, 0]);
});

test("no permission is told to a person, and not waited for", async () => {
  await using folder = await temporaryFolder();
  await using sink = await session(fileSink("text", join(folder.path, "out.txt"), lines, failing({ code: "EACCES", at: "open" })));
  const error = await rejection(sink.write(batch(1, "one")));
  assert.is(error.code, "SINK_UNWRITABLE");
});

if (spawnSync("unshare", ["-Urnm", "true"]).status === 0) {
  test("on a disk that is full the actor waits, what was written stays, and with room again the same batch goes through", async () => {
    await using folder = await temporaryFolder();
    const program = fileURLToPath(new URL("full-disk.ts", import.meta.url));
    const { status, stdout, stderr } = spawnSync("unshare", ["-Urnm", "sh", "-c", 'mount -t tmpfs -o size=256k tmpfs "$1" && shift && exec "$@"', "sh", folder.path,
      process.execPath, "--conditions=source", "--import", "tsx", program, folder.path], { encoding: "utf8", timeout: 60_000 });
    assert.is(status, 0, stderr);
    const { refused, kept, same } = JSON.parse(stdout);
    assert.is(refused.length, 3);
    for (const message of refused) assert.match(message, /cannot be written now: ENOSPC/);
    assert.equal({ kept, same }, { kept: true, same: true });
  });
}

test("a large result is written in bounded time and is what went in", async () => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, "out.jsonl");
  await using sink = await session(jsonl.sink(path));
  const expected: string[] = [];
  for (let n = 1; n <= 20; n++) {
    const given = Array.from({ length: 4096 }, (_, i) => ({ n, i }));
    expected.push(...given.map((one) => `${JSON.stringify(one)}\n`));
    await sink.write(batch(n, ...given));
  }
  await sink.finish?.();
  assert.is(await content(path), expected.join(""));
  assert.is((await stat(path)).size, Buffer.byteLength(expected.join("")));
});

test.run();
