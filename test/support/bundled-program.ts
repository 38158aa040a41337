// A program of the tests as one file of JavaScript: most of a short life would else be the loading of it.
import { symlink } from "node:fs/promises";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

/** What flows import by the name of the package. */
const own = Object.fromEntries(Object.entries({ "millrace/actors": "../../actors/index.ts", "millrace/testing": "../../runtime/testing/index.ts", millrace: "../../runtime/index.ts" }).map(([name, file]) => [name, fileURLToPath(new URL(file, import.meta.url))]));

/** Its path, in `folder`, which is given the project's packages. One call for each folder. */
export async function bundledProgram(source: URL, folder: string): Promise<string> {
  const out = join(folder, `${basename(fileURLToPath(source), ".ts")}.mjs`);
  await build({ entryPoints: [fileURLToPath(source)], outfile: out, bundle: true, platform: "node", format: "esm", target: "node20", packages: "external", alias: own, logLevel: "error" });
  await symlink(fileURLToPath(new URL("../../node_modules", import.meta.url)), join(folder, "node_modules"), "junction");
  return out;
}
