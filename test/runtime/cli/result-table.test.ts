import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { csv, jsonl, text } from "../../../actors/index.ts";
import { resultTexts } from "../../../runtime/cli/result-table.ts";
import { defineFlow, defineSink, type SinkActor } from "../../../runtime/index.ts";
import { plan, source } from "../../support/flow-parts.ts";
import { record } from "../../support/recording-stream.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

const test = suite("result-table");

const { colors } = record().terminal;
async function shown(sink: (path: string) => SinkActor<never>, content: string | undefined, { written = 3, width = 80, parallelism = 1, name = "out" } = {}): Promise<string> {
  await using folder = await temporaryFolder();
  if (content !== undefined) await writeFile(join(folder.path, name.replaceAll("{partition}", "0")), content);
  const flow = plan(defineFlow("f", (builder) => void builder.sink("out", builder.source("feed", source()) as never, { parallelism }, sink(join(folder.path, name)))));
  return (await resultTexts(flow, () => written, width, colors)).join("\n\n").replaceAll(folder.path, "<folder>");
}

test("JSON lines: a column for each field, numbers to the right, and where the rest is", async () => {
  assert.is(await shown(jsonl.sink, '{"region":"Alaska","n":1}\n{"region":"CA","n":12,"more":{"a":[1]}}\n', { written: 9 }), `
Results of out
  region   n  more
  Alaska   1
  CA      12  {"a":[1]}
  … and 7 more in <folder>/out`.slice(1));
});

test("not more than the first rows of a long file", async () => {
  const lines = (await shown(jsonl.sink, Array.from({ length: 50_000 }, (_, n) => `{"n":${n}}\n`).join(""), { written: 50_000 })).split("\n");
  assert.equal([lines.length, lines.at(-1)], [15, "  … and 49,988 more in <folder>/out"]);
});

test("CSV by its header, texts as lines, values that are no objects as they are", async () => {
  assert.match(await shown(csv.sink as never, 'a,b\n1,"x, y"\n', { written: 1 }), / {2}a {2}b\n {2}1 {2}x, y\n {2}in <folder>\/out/);
  assert.match(await shown(text.sink as never, "one\ntwo\n", { written: 2 }), / {2}one\n {2}two\n/);
  assert.match(await shown(jsonl.sink, '1\n"x"\n[2]\n'), /Results of \S+\n {2}1\n {2}x\n {2}\[2\]\n/);
});

test("what is no row, and data that would steer the terminal, do no harm", async () => {
  assert.match(await shown(jsonl.sink, '{"a":"\\u001b[2J"}\n', { written: 1 }), /·\[2J/);
  for (const content of [undefined, "", "{broken\n"]) assert.is(await shown(jsonl.sink, content), "Results of out\n  3 events written to <folder>/out");
});

test("a row longer than what is looked at is not shown as a half one", async () => {
  assert.is(await shown(jsonl.sink, `{"a":"${"x".repeat(100_000)}"}\n`, { written: 1 }), "Results of out\n  1 event written to <folder>/out");
});

test("of a partitioned sink the first file is shown, and how many there are", async () => {
  assert.match(await shown(jsonl.sink, '{"a":1}\n', { name: "out-{partition}", parallelism: 3 }), /… and 2 more in <folder>\/out-\{partition\} \(3 files\)/);
});

test("a sink that writes elsewhere says where, one that says nothing is passed over", async () => {
  const elsewhere = (target?: string) => () => defineSink<never, never>({ kind: "postgres", guarantee: "idempotent", open: async () => ({ write: async () => {} }), ...(target === undefined ? {} : { target }) });
  assert.match(await shown(elsewhere("db/quakes"), undefined), /3 events written to .*db\/quakes/);
  assert.is(await shown(elsewhere(), undefined), "");
});

for (const width of [24, 40, 60]) {
  test(`it fits ${width} columns`, async () => {
    const table = await shown(jsonl.sink, `${JSON.stringify({ region: "a region with a long name", windowStart: 1_517_356_800_000, count: 1, strongest: 3.14, place: "11km N of a place with a long name" })}\n`, { width });
    assert.ok(table.split("\n").slice(0, -1).every((line) => line.length <= width), table);
  });
}

test.run();
