// Runs the compiler over the type tests: what must come out, and what it says of each mistake.
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";

const test = suite("types");
const root = join(import.meta.dirname, "../..");

/** Compiles a file, in a folder of its own where it reaches the project as a user does; what is wrong with it, by line. */
async function compile(text: string): Promise<ReadonlyMap<number, string>> {
  const folder = await mkdtemp(join(tmpdir(), "millrace-types-"));
  try {
    await symlink(join(root, "node_modules"), join(folder, "node_modules"));
    await writeFile(join(folder, "package.json"), '{ "type": "module" }');
    await writeFile(join(folder, "checked.ts"), text.replaceAll('"../../runtime/', `"${root}/runtime/`));
    await writeFile(join(folder, "tsconfig.json"), JSON.stringify({
      extends: join(root, "tsconfig.json"),
      compilerOptions: {
        rewriteRelativeImportExtensions: false, allowImportingTsExtensions: true,
        paths: { millrace: [join(root, "runtime/index.ts")], "millrace/actors": [join(root, "actors/index.ts")] },
      },
      include: ["checked.ts"],
    }));
    return byLine(await tsc(folder));
  } finally {
    await rm(folder, { recursive: true });
  }
}

function tsc(folder: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const arguments_ = [join(root, "node_modules/typescript/lib/tsc.js"), "-p", folder, "--pretty", "false"];
    execFile(process.execPath, arguments_, { cwd: folder, timeout: 60_000 }, (error, stdout) => {
      if (error && stdout === "") reject(error);
      else resolve(stdout);
    });
  });
}

function byLine(said: string): ReadonlyMap<number, string> {
  const found = new Map<number, string>();
  let line = 0;
  for (const text of said.split("\n")) {
    if (!text.startsWith(" ")) line = Number(/^checked\.ts\((\d+),/.exec(text)?.[1] ?? 0);
    if (line > 0) found.set(line, `${found.get(line) ?? ""}${text}\n`);
  }
  return found;
}

const read = (name: string) => readFile(join(import.meta.dirname, name), "utf8");

test("types come out of every stage exactly as they should, without annotations", async () => {
  assert.equal([...await compile(await read("inference.ts"))], []);
});

test("a type that comes out otherwise is noticed", async () => {
  const wrong = (await read("inference.ts")).replace("data<Quake>()(quakes);", "data<Bid>()(quakes);");
  assert.is((await compile(wrong)).size, 1);
});

test("the face of a flow has the names, keys, states, queries and outputs of its stages", async () => {
  assert.equal([...await compile(await read("face.ts"))], []);
});

test("a test may send what its sources take, and sees what its stages give", async () => {
  assert.equal([...await compile(await read("testing.ts"))], []);
});

test("each mistake is refused for its own reason, and nothing else is", async () => {
  const text = await read("refused.ts");
  const mistakes = text.split("\n").flatMap((line, index) => {
    const [, name, says] = /@ts-expect-error (.*) => (.*)/.exec(line) ?? [];
    return name === undefined ? [] : [{ name, says: says as string, line: index + 2 }];
  });
  assert.ok(mistakes.length > 40);
  assert.is(mistakes.length, text.split("// @ts-expect-error").length - 1);
  const found = await compile(text.replaceAll("@ts-expect-error", "mistake:"));
  assert.equal([...found.keys()].sort((a, b) => a - b), mistakes.map((mistake) => mistake.line));
  for (const { name, says, line } of mistakes) assert.ok(found.get(line)?.includes(says), `${name}: ${found.get(line)}`);
});

test.run();
