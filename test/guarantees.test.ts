// GUARANTEES.md against the tests: each line of its tables names a test that is there, word for word.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";

const test = suite("guarantees");
const root = fileURLToPath(new URL("..", import.meta.url));
const text = readFileSync(join(root, "GUARANTEES.md"), "utf8");
const heldBy = /`(test\/[\w./-]+\.ts)`: ("[^"]+"(?:, "[^"]+")*)/g;

/** Names of tests, and of the cases that they are made of: texts of the source, with "…" for what is put in at run time. */
function textsOf(file: string): string {
  return readFileSync(join(root, file), "utf8").replaceAll(/\$\{[^{}]*\}/g, "…").replaceAll(/\\(["'`])/g, "$1");
}

function missing(line: string): readonly string[] {
  return [...line.matchAll(heldBy)].flatMap(([, file = "", names = ""]) => {
    if (!existsSync(join(root, file))) return [`${file} is not there`];
    const its = textsOf(file);
    return [...names.matchAll(/"([^"]+)"/g)].flatMap(([, name = ""]) => (['"', "`"].some((quote) => its.includes(`${quote}${name}${quote}`)) ? [] : [`${file} has no test "${name}"`]));
  });
}

/** Lines of the tables whose last column says what holds them. */
function promises(): readonly string[] {
  let isPromises = false;
  return text.split("\n").filter((line) => {
    if (!line.startsWith("|")) isPromises = false;
    else if (/\| held by \|$/.test(line)) isPromises = true;
    else return isPromises && !/^\|( ---* \|)+$/.test(line);
    return false;
  });
}

test("each promise names a test that holds it, and that test is there", () => {
  assert.ok(promises().length >= 40, `${promises().length} promises were found`);
  assert.equal(promises().filter((line) => [...line.matchAll(heldBy)].length === 0), []);
  // Names that stand elsewhere in the last column would not be looked for.
  assert.equal(promises().filter((line) => (line.split(" | ").at(-1) ?? "").replaceAll(heldBy, "").includes('"')), []);
  assert.equal(missing(text), []);
});

test("each row stands in a table", () => {
  const lines = text.split("\n");
  assert.equal(lines.filter((line, at) => line.startsWith("|") && lines[at - 1]?.startsWith("|") !== true && !/^\|( ---* \|)+$/.test(lines[at + 1] ?? "")), []);
});

test("each file that it names is there", () => {
  const files = [...new Set([...text.matchAll(/`((?:test|runtime|actors|examples)\/[\w./-]+)`/g)].map(([, file = ""]) => file))];
  assert.equal(files.filter((file) => !existsSync(join(root, file))), []);
});

test("a file or a name that is not there is seen", () => {
  assert.equal(missing('| x | `test/no.test.ts`: "a" |'), ["test/no.test.ts is not there"]);
  const none = ["no", "such", "name"].join(" ");
  assert.equal(missing(`| x | \`test/guarantees.test.ts\`: "each file that it names is there", "${none}" |`), [`test/guarantees.test.ts has no test "${none}"`]);
});

test.run();
