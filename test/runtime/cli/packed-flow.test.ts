// Flows packed for other machines: what is in the bundle, that it is the same bytes wherever it is made, and that it runs as it is.
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { loadPacked, packFlow } from "../../../runtime/cli/flow-file.ts";
import { hashOf } from "../../../runtime/deploy/bundle-store.ts";
import { planOf } from "../../../runtime/flow/plan.ts";
import { rejection } from "../../support/rejection.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

const test = suite("packed flow");
process.setSourceMapsEnabled(true);

const body = `(flow) => { flow.sink("out", flow.source("feed", jsonl.source("x.jsonl")), jsonl.sink("y.jsonl")); }`;
const imports = `import { defineFlow } from "millrace";\nimport { jsonl } from "millrace/actors";\n`;
const named = (text: string): string => `${imports}${text}\nexport default defineFlow(name, ${body});\n`;
const project: Readonly<Record<string, string>> = {
  "flow.ts": named('import { name } from "./parts/name.ts";\nimport { upper } from "es-part";\nimport cjs from "cjs-part";\nupper(cjs.sep);'),
  "parts/name.ts": 'interface X { a: string }\nexport const name: X["a"] = "of-parts";',
  "node_modules/es-part/package.json": '{"name":"es-part","exports":{"import":"./index.mjs"}}', "node_modules/es-part/index.mjs": "export const upper = (text) => text.toUpperCase();",
  "node_modules/cjs-part/package.json": '{"name":"cjs-part","main":"main.js"}', "node_modules/cjs-part/main.js": 'exports.sep = require("path").sep;',
};

async function write(folder: string, files: Readonly<Record<string, string>>): Promise<string> {
  for (const [name, text] of Object.entries(files)) {
    await mkdir(dirname(join(folder, name)), { recursive: true });
    await writeFile(join(folder, name), text);
  }
  return join(folder, Object.keys(files)[0] as string);
}

test("it is loaded on a machine that has nothing of its project, and Millrace in it is the one that runs", async () => {
  await using here = await temporaryFolder();
  await using there = await temporaryFolder();
  const bundle = await packFlow(await write(here.path, project)), hash = hashOf(bundle);
  const { flow, module } = await loadPacked(bundle, { hash, file: "flow.ts", dataDir: there.path });
  assert.is(flow.name, "of-parts");
  assert.ok(planOf(flow) !== undefined);
  assert.equal(await readFile(new URL(module)), Buffer.from(bundle), "what runs is byte for byte what was signed");
  assert.ok((await readdir(join(there.path, "deployed"))).includes(`${hash.slice(0, 32)}.mjs`));
});

test("it is the same bytes wherever its project is, and tells nothing of where that was", async () => {
  await using one = await temporaryFolder();
  await using other = await temporaryFolder();
  const [a, b] = [await packFlow(await write(one.path, project)), await packFlow(await write(join(other.path, "deep", "er"), project))] as const;
  assert.is(hashOf(a), hashOf(b));
  const text = Buffer.from(a).toString(), map = Buffer.from(/base64,(\S+)/.exec(text)?.[1] as string, "base64").toString();
  for (const part of [text, map]) assert.not.ok(part.includes(one.path));
});

test("another line of code, or of a package, is another hash", async () => {
  await using folder = await temporaryFolder();
  const path = await write(folder.path, project), before = hashOf(await packFlow(path));
  await writeFile(join(folder.path, "node_modules/es-part/index.mjs"), "export const upper = (text) => text.toLowerCase();");
  assert.is.not(hashOf(await packFlow(path)), before);
});

test("errors that it throws are of the classes of the runtime, and tell the line of the author's file", async () => {
  await using folder = await temporaryFolder();
  const bundle = await packFlow(await write(folder.path, { "flow.ts": 'import { MillraceError } from "millrace";\n\nthrow new MillraceError("MINE", "here", "no", "Mend it.");' }));
  const error = await rejection(loadPacked(bundle, { hash: hashOf(bundle), file: "flow.ts", dataDir: join(folder.path, "data") }));
  assert.is(error.code, "MINE");
  assert.match(error.stack ?? "", /flow\.ts:3:/);
});

test("import.meta.url is that of the bundle, so nothing of the machine that made it is relied on", async () => {
  await using folder = await temporaryFolder();
  const bundle = await packFlow(await write(folder.path, { "flow.ts": named('const name = import.meta.url.endsWith(".mjs") ? "of-bundle" : "of-file";') }));
  assert.is((await loadPacked(bundle, { hash: hashOf(bundle), file: "flow.ts", dataDir: join(folder.path, "data") })).flow.name, "of-bundle");
});

for (const [what, files, says] of [
  ["a package that is not installed", { "flow.ts": named('import { name } from "not-there";') }, /there is no package "not-there"/],
  ["a part of Millrace that does not exist", { "flow.ts": named('import { name } from "millrace/nothing";') }, /there is no "millrace\/nothing"/],
  ["a syntax error", { "flow.ts": "export default {{{" }, /flow\.ts:1:/],
] as const) {
  test(`${what} is refused before anything is deployed`, async () => {
    await using folder = await temporaryFolder();
    const error = await rejection(packFlow(await write(folder.path, files)));
    assert.is(error.code, "FLOW_FILE_INVALID");
    assert.match(error.message, says);
  });
}

test("what exports no flow is refused when it is loaded", async () => {
  await using folder = await temporaryFolder();
  const bundle = await packFlow(await write(folder.path, { "flow.ts": "export default 1;" }));
  assert.is((await rejection(loadPacked(bundle, { hash: hashOf(bundle), file: "flow.ts", dataDir: join(folder.path, "data") }))).code, "FLOW_EXPECTED");
});

test.run();
