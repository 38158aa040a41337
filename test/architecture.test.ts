// The shape of the project, held: who may import whom, what a file may be, which Node the dependencies admit.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { breaches, importsOf, layers, maxLines, packageOf, wrapped } from "./support/import-rule.ts";
import { admits } from "./support/node-range.ts";

const test = suite("architecture");
const root = fileURLToPath(new URL("..", import.meta.url));

function sourcesIn(...folders: readonly string[]): ReadonlyMap<string, string> {
  const files = folders.flatMap((folder) => readdirSync(join(root, folder), { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".ts")).map((name) => `${folder}/${name}`));
  return new Map(files.map((file) => [file, readFileSync(join(root, file), "utf8")]));
}

function judged(sources: Readonly<Record<string, string>>): readonly string[] {
  return breaches(new Map(Object.entries(sources))).map(({ file, says }) => `${file} ${says}`);
}

test("imports go one way, vendors stay behind their port, no file is too long", () => {
  const sources = sourcesIn("runtime", "actors");
  assert.ok(sources.size > 20, "the sources were found");
  assert.equal(breaches(sources), []);
});

test("every folder of the runtime has its place in the layers", () => {
  const folders = readdirSync(join(root, "runtime"), { withFileTypes: true }).filter((entry) => entry.isDirectory()).map(({ name }) => name);
  assert.equal(folders.filter((name) => !(layers as readonly string[]).includes(name)), []);
});

// The judge itself: each breach, one at a time.
const refused: readonly (readonly [guarantee: string, sources: Readonly<Record<string, string>>, says: RegExp])[] = [
  ["a layer that imports a later one is refused", { "runtime/flow/a.ts": 'import type { B } from "../node/b.ts";' }, /flow stands before node/],
  ["an import over several lines is seen", { "runtime/event/a.ts": 'import {\n  b,\n} from "../flow/b.ts";' }, /event stands before flow/],
  ["an import at run time is seen", { "runtime/event/a.ts": 'const b = await import("../flow/b.ts");' }, /event stands before flow/],
  ["a re-export is seen", { "runtime/event/a.ts": 'export * from "../flow/b.ts";' }, /event stands before flow/],
  ["an actor that reaches into the runtime is refused", { "actors/a.ts": 'import { b } from "../runtime/flow/b.ts";' }, /by runtime\/index.ts only/],
  ["the runtime does not import its own actors", { "runtime/flow/a.ts": 'import { b } from "../../actors/b.ts";' }, /nothing outside itself/],
  ["the runtime does not import its public face", { "runtime/flow/a.ts": 'import { b } from "../index.ts";' }, /public face/],
  ["a wrapped package elsewhere is refused", { "runtime/node/a.ts": 'import { connect } from "nats";' }, /nats belongs to one file in runtime\/broker/],
  ["a wrapped package in an actor is refused", { "actors/a.ts": 'import { Level } from "level";' }, /level belongs/],
  ["a wrapped package in two files is refused", { "runtime/broker/a.ts": 'import "nats";', "runtime/broker/b.ts": 'import type { X } from "nats";' }, /more than one file/],
  ["another package below the node is refused", { "runtime/journal/a.ts": 'import { z } from "zod";' }, /journal knows no vendor/],
  ["an adapter is chosen by no layer below the node", { "runtime/broker/nats.ts": 'import "nats";', "runtime/actor/a.ts": 'import { b } from "../broker/nats.ts";' }, /this file is an adapter/],
  ["a file that is too long is refused", { "actors/a.ts": "x\n".repeat(maxLines + 1) }, new RegExp(`has ${maxLines + 1} lines`)],
  ["a file named for no concept is refused", { "runtime/event/utils.ts": "" }, /named for no concept/],
];
for (const [guarantee, sources, says] of refused) {
  test(guarantee, () => {
    const found = judged(sources);
    assert.is(found.length, 1, found.join("\n"));
    assert.match(found[0] as string, says);
  });
}

test("what the rule allows is let through", () => {
  assert.equal(judged({
    "runtime/index.ts": 'export { a } from "./flow/a.ts";\nexport { run } from "./node/run.ts";',
    "runtime/flow/a.ts": 'import { b } from "../event/b.ts"; // not from "../node/x.ts"\n// import { c } from "../node/c.ts";\n/**\n * import { d } from "millrace";\n */',
    "runtime/broker/nats.ts": 'import { connect } from "nats";\nimport { join } from "node:path";',
    "runtime/node/run.ts": 'import { connect } from "../broker/nats.ts";\nimport pino from "pino";',
    "runtime/cli/run.ts": 'import { run } from "../node/run.ts";\nimport { Command } from "commander";',
    "actors/csv.ts": `import { parse } from "csv-parse/sync";\nimport { a } from "../runtime/index.ts";\n${"x\n".repeat(maxLines - 2)}`,
  }), []);
});

test("each wrapped package has its one file", () => {
  const sources = sourcesIn("runtime");
  for (const [vendor, home] of Object.entries(wrapped)) {
    const files = [...sources].filter(([, text]) => importsOf(text).some((name) => packageOf(name) === vendor)).map(([file]) => file);
    assert.is(files.length, 1, `${vendor}: ${files.join(", ") || "no file"}`);
    assert.ok(files[0]?.startsWith(`${home}/`));
  }
});

test("no test waits for time: none sets a timer", () => {
  const waits = /\bsetTimeout\(|["']node:timers(\/promises)?["']/;
  // Two of the fault harness may: a deadline that ends a child, and a death at a random moment; nobody waits for either.
  const allowed = ["test/architecture.test.ts", "test/faults/matrix-lives.ts", "test/faults/watched-parts.ts"];
  const files = [...sourcesIn("test")].filter(([file]) => !/^test\/(support|bench)\//.test(file) && !allowed.includes(file));
  assert.equal(files.filter(([, text]) => waits.test(text)).map(([file]) => file), []);
});

test("all packages of the lockfile admit Node 20.19.0", () => {
  const { packages } = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8")) as { packages: Record<string, { engines?: { node?: string } }> };
  assert.ok(Object.keys(packages).length > 50, "the packages were found");
  const refusing = Object.entries(packages).filter(([, { engines }]) => engines?.node !== undefined && !admits(engines.node, "20.19.0"));
  assert.equal(refusing.map(([path, { engines }]) => `${path}: ${engines?.node}`), []);
});

const ranges: readonly (readonly [range: string, admitted: boolean])[] = [
  [">=20.19", true], [">=20.19.1", false], ["^20.19.0 || >=22.12.0", true], ["^18 || >=22", false], ["20 || >=22", true], [">= 20.x", true],
  ["10.* || >= 12.*", true], [">=18 <20", false], ["<=20", true], [">20", false], ["~20.18", false], ["~20.19.0", true], ["*", true], ["20.19.0", true], ["20.19.1", false],
];
for (const [range, admitted] of ranges) {
  test(`engines.node "${range}" ${admitted ? "admits" : "excludes"} 20.19.0`, () => assert.is(admits(range, "20.19.0"), admitted));
}

test.run();
