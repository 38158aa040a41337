// Loading flows from files: what is bundled, what stays outside, and what is said of files that are none.
import { mkdir, readdir, readFile, rename, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { loadFlow } from "../../../runtime/cli/flow-file.ts";
import { planOf } from "../../../runtime/flow/plan.ts";
import { rejection } from "../../support/rejection.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

const test = suite("flow-file");
process.setSourceMapsEnabled(true);

/** A folder with files, and the flow in the first of them. */
async function load(folder: string, files: Readonly<Record<string, string>>) {
  for (const [name, text] of Object.entries(files)) {
    await mkdir(dirname(join(folder, name)), { recursive: true });
    await writeFile(join(folder, name), text);
  }
  return await loadFlow(join(folder, Object.keys(files)[0] as string), join(folder, "data"));
}

const body = `(flow) => { flow.sink("out", flow.source("feed", jsonl.source("x.jsonl")), jsonl.sink("y.jsonl")); }`;
const imports = `import { defineFlow } from "millrace";\nimport { jsonl } from "millrace/actors";\n`;
const whole = (name = '"f"'): string => `${imports}export default defineFlow(${name}, ${body});\n`;
const names = (text: string): string => `${imports}${text}\nexport default defineFlow(name, ${body});\n`;

test("TypeScript with imports from beside it is loaded; Millrace in it is the one that runs", async () => {
  await using folder = await temporaryFolder();
  const { flow, hash } = await load(folder.path, { "flow.ts": names('import { name } from "./parts/name.ts";'), "parts/name.ts": 'interface X { a: string }\nexport const name: X["a"] = "of-parts";' });
  assert.is(flow.name, "of-parts");
  assert.ok(planOf(flow) !== undefined);
  assert.match(hash, /^[0-9a-f]{64}$/);
});

test("errors that it throws are of the classes of the runtime", async () => {
  await using folder = await temporaryFolder();
  const error = await rejection(load(folder.path, { "flow.ts": 'import { MillraceError } from "millrace";\nthrow new MillraceError("MINE", "here", "no", "Mend it.");' }));
  assert.is(error.code, "MINE");
});

for (const [what, files] of [
  ["JavaScript", { "flow.js": whole() }], ["an .mjs", { "flow.mjs": whole() }],
  ["JSON beside it", { "flow.ts": names('import settings from "./settings.json" with { type: "json" };\nconst { name } = settings;'), "settings.json": '{"name":"f"}' }],
  ["a package as ES module", { "flow.ts": names('import { name } from "es-part";'), "node_modules/es-part/package.json": '{"name":"es-part","exports":{"import":"./index.mjs"}}', "node_modules/es-part/index.mjs": 'export const name = "f";' }],
  ["a package as CommonJS", { "flow.ts": names('import part from "cjs-part";\nconst { name } = part;'), "node_modules/cjs-part/package.json": '{"name":"cjs-part","main":"main.js"}', "node_modules/cjs-part/main.js": 'exports.name = "f";' }],
  ["a path of a package", { "flow.ts": names('import { name } from "@scope/part/deep";'), "node_modules/@scope/part/package.json": '{"name":"@scope/part","exports":{"./deep":"./d.mjs"}}', "node_modules/@scope/part/d.mjs": 'export const name = "f";' }],
  ["a package whose source is TypeScript", { "flow.ts": names('import { name } from "ts-part";'), "node_modules/ts-part/package.json": '{"name":"ts-part","exports":"./index.ts"}', "node_modules/ts-part/index.ts": 'export const name: string = "f";' }],
  ["Node's own modules, with and without node:", { "flow.ts": names('import { basename } from "path";\nimport { sep } from "node:path";\nconst name = basename("a" + sep + "f");') }],
  ["top-level await", { "flow.ts": names('const name = await Promise.resolve("f");') }],
  ["CommonJS", { "flow.cjs": `const { defineFlow } = require("millrace"); const { jsonl } = require("millrace/actors"); module.exports = defineFlow("f", ${body});` }],
] as const) {
  test(`${what} is taken`, async () => {
    await using folder = await temporaryFolder();
    assert.is((await load(folder.path, files)).flow.name, "f");
  });
}

test("import.meta.url and its kin are those of the file that they are written in", async () => {
  await using folder = await temporaryFolder();
  const { flow } = await load(folder.path, {
    "flow.ts": names('import { text } from "./deep/part.ts";\nimport { readFileSync } from "node:fs";\nconst name = readFileSync(new URL("./name.txt", import.meta.url), "utf8") + text + (import.meta.filename.endsWith("flow.ts") ? "" : "-no");'),
    "name.txt": "f", "deep/part.ts": 'import { readFileSync } from "node:fs";\nexport const text = readFileSync(import.meta.dirname + "/more.txt", "utf8");', "deep/more.txt": "-more",
  });
  assert.is(flow.name, "f-more");
});

test("import.meta in a string, a template, a regular expression or a comment stays as it is written; lines stay, too", async () => {
  await using folder = await temporaryFolder();
  const said = ["import.meta.url", "import.meta.dirname", "import.meta.filename"];
  const { flow } = await load(folder.path, {
    "flow.ts": names([
      "// import.meta.url", `const said: string[] = ["import.meta.url", 'import.meta.dirname', \`import.meta.filename\`];`, "const form = /import.meta.url/.source;",
      `const own = \`\${import.meta.url} \${import.meta.filename}\`, late = import . meta . dirname;`, 'import { basename } from "node:path";', 'const line = new Error("x").stack?.includes("flow.ts:8") === true;',
      `const name = JSON.stringify(said) === ${JSON.stringify(JSON.stringify(said))} && form === ["import", "meta", "url"].join(".") && own.startsWith("file://") && basename(own) === "flow.ts" && !late.includes("flow.ts") && line ? "right" : "wrong";`,
    ].join("\n")),
    "part.mjs": "",
  });
  assert.is(flow.name, "right");
  const marked = await load(folder.path, { "marked.mjs": `#!/usr/bin/env node\n${imports}const name = import.meta.filename.endsWith("marked.mjs") ? "f" : "g";\nexport default defineFlow(name, ${body});` });
  assert.is(marked.flow.name, "f");
  const error = await rejection(load(folder.path, { "gone.ts": 'interface X { a: string }\nconst url = import.meta.url;\nimport { a } from "./gone-too.ts";\nexport default a;' }));
  assert.match(error.message, /gone\.ts:3:19 {2}Could not resolve/);
});

test("the hash is that of the code: the same wherever it lies, another with any change of it", async () => {
  await using folder = await temporaryFolder();
  const files = { "flow.ts": names('import { name } from "./name.ts";\nimport { more } from "es-part";\nimport.meta.url;'), "name.ts": 'export const name = "f";', "node_modules/es-part/package.json": '{"name":"es-part","exports":"./index.mjs"}', "node_modules/es-part/index.mjs": "export const more = 1;" };
  const [here, there] = [join(folder.path, "here"), join(folder.path, "there", "deep")];
  const first = await load(here, files);
  await mkdir(dirname(there), { recursive: true });
  await rename(here, there);
  assert.is((await loadFlow(join(there, "flow.ts"), join(folder.path, "data"))).hash, first.hash);
  assert.not.equal((await load(there, { ...files, "name.ts": 'export const name = "g";' })).hash, first.hash);
});

test("the bundle is in the data folder, and not more than sixteen of them", async () => {
  await using folder = await temporaryFolder();
  for (let n = 0; n < 18; n++) await load(folder.path, { "flow.ts": whole(`"f${n}"`) });
  const kept = await readdir(join(folder.path, "data", "flows"));
  assert.is(kept.length, 16);
  const { hash } = await load(folder.path, { "flow.ts": whole('"f17"') });
  assert.ok(kept.includes(`${hash.slice(0, 32)}.mjs`));
  assert.match(await readFile(join(folder.path, "data", "flows", `${hash.slice(0, 32)}.mjs`), "utf8"), /sourceMappingURL=data:/);
});

test("problems of a definition name the lines of the TypeScript", async () => {
  await using folder = await temporaryFolder();
  const error = await rejection(load(folder.path, { "flow.ts": `interface Nothing { a: string }\n${imports}\n// a line\nexport default defineFlow("Bad", (flow) => {\n  flow.source("feed", jsonl.source<Nothing>("x"));\n  flow.source("feed", jsonl.source("x"));\n});` }));
  assert.is(error.code, "FLOW_INVALID");
  assert.equal(error.problems.map(({ code, at }) => [code, at?.replace(/^.*\//, "")]), [["NAME_INVALID", "flow.ts:6"], ["NAME_TAKEN", "flow.ts:7"]]);
});

const refused: readonly (readonly [what: string, files: Readonly<Record<string, string>>, code: string, says: RegExp])[] = [
  ["of another kind", { "flow.json": "{}" }, "FLOW_FILE_INVALID", /A \.json is no flow/],
  ["without ending", { flow: "" }, "FLOW_FILE_INVALID", /file without ending/],
  ["empty", { "flow.ts": "" }, "FLOW_EXPECTED", /no default export.*Write `export default defineFlow\(…\)`/],
  ["with a flow by name only", { "flow.ts": `${imports}export const quakes = defineFlow("f", ${body});` }, "FLOW_EXPECTED", /It exports quakes: write `export default quakes`/],
  ["with a function as its default", { "flow.ts": "export default () => 1;" }, "FLOW_EXPECTED", /default export of the file is a function, no flow/],
  ["with a promise of a flow as its default", { "flow.ts": "export default Promise.resolve(1);" }, "FLOW_EXPECTED", /is a promise, no flow/],
  ["broken", { "flow.ts": "const a = ;\nconst b = ];" }, "FLOW_FILE_INVALID", /flow\.ts:1:11 {2}Unexpected ";"\n {4}const a = ;/],
  ["that imports what is not beside it", { "flow.ts": 'import { a } from "./gone.ts";\nexport default a;' }, "FLOW_FILE_INVALID", /flow\.ts:1:19 {2}Could not resolve "\.\/gone\.ts"/],
  ["that imports a package that is not installed", { "flow.ts": 'import a from "@no/where/x";\nexport default a;' }, "FLOW_FILE_INVALID", /there is no package "@no\/where\/x": install it beside the flow, npm i @no\/where/],
  ["that imports what Millrace has not", { "flow.ts": 'import a from "millrace/dashboard";\nexport default a;' }, "FLOW_FILE_INVALID", /there is no "millrace\/dashboard": Millrace has "millrace"/],
  ["that imports a name that Millrace has not", { "flow.ts": 'import { defineFlows } from "millrace";\nexport default defineFlows;' }, "FLOW_FILE_FAILED", /does not provide an export named 'defineFlows'/],
  ["that throws", { "flow.ts": "interface A { b: string }\n\nconst a = undefined as unknown as A;\nexport default a.b;" }, "FLOW_FILE_FAILED", /TypeError: Cannot read properties of undefined.*FLOW_FILE_FAILED, [^)]*flow\.ts:4\)/],
];
for (const [what, files, code, says] of refused) {
  test(`a file ${what} is refused, and what is wrong is said`, async () => {
    await using folder = await temporaryFolder();
    const error = await rejection(load(folder.path, files));
    assert.is(error.code, code, error.message);
    assert.match(error.message, says);
  });
}

test("a file that is not there, and a folder, are refused", async () => {
  await using folder = await temporaryFolder();
  for (const [path, says] of [[join(folder.path, "none.ts"), /There is no such file/], [folder.path, /This is a folder/]] as const) {
    const error = await rejection(loadFlow(path, join(folder.path, "data")));
    assert.is(error.code, "FLOW_FILE_MISSING");
    assert.match(error.message, says);
  }
});

test("a data folder that cannot be written is said to be that", async () => {
  await using folder = await temporaryFolder();
  await writeFile(join(folder.path, "data"), "a file");
  assert.is((await rejection(load(folder.path, { "flow.ts": whole() }))).code, "DATA_FOLDER_INVALID");
});

test.run();
