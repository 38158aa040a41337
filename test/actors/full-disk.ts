// Writes to a small disk (the folder given) until it is full, makes room, and goes on. Says what happened as JSON.
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { text } from "../../actors/index.ts";
import { batch, generation, session } from "./writing.ts";

const folder = process.argv[2] as string;
const path = join(folder, "out.txt");
await writeFile(join(folder, "ballast"), Buffer.alloc(128 * 1024));
const sink = await session(text.sink(path));
const expected: string[] = [];
const refused: string[] = [];
let kept = true;
for (let number = 1; number <= 10; number++) {
  const lines = Array.from({ length: 100 }, (_, i) => `${number}:${i}:${"x".repeat(150)}`);
  expected.push(...lines.map((line) => `${line}\n`));
  for (;;) {
    try {
      await sink.write(batch(number, ...lines));
      break;
    } catch (error) {
      refused.push((error as Error).message);
      const all = await readFile(`${path}.${generation}`, "utf8");
      const written = expected.slice(0, -lines.length).join("");
      kept &&= written !== "" && all.startsWith(written);
      if (refused.length === 3) await rm(join(folder, "ballast"));
    }
  }
}
await sink.finish?.();
await sink.close?.();
console.log(JSON.stringify({ refused, kept, same: (await readFile(path, "utf8")) === expected.join("") }));
