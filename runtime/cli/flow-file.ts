// Loads the flow of a file: TypeScript or JavaScript, `export default defineFlow(…)`.
import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, rename, rm, stat, utimes, writeFile } from "node:fs/promises";
import { extname, join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { asError, MillraceError } from "../event/errors.ts";
import { sortOf } from "../flow/display.ts";
import type { Flow } from "../flow/flow.ts";
import { planOf } from "../flow/plan.ts";
import { bundleFlow, bundlePortable, own } from "./flow-bundle.ts";
import { nearPath } from "./near-path.ts";

export interface LoadedFlow {
  readonly flow: Flow;
  /** Hash of its code. */
  readonly hash: string;
  /** URL of the bundle that it was loaded from. */
  readonly module: string;
  /** As given, seen from here. */
  readonly file: string;
}

const endings = [".ts", ".mts", ".js", ".mjs", ".tsx", ".jsx", ".cts", ".cjs"];
/** A file that does not get through its top level in so long will not. */
const loadMs = 60_000;
/** Bundles that are kept in the data folder, for who looks into one. */
const keptBundles = 16;
/** Of those that were deployed: threads load them later, too. */
const keptDeployed = 256;

/** @throws MillraceError FLOW_FILE_MISSING, FLOW_FILE_INVALID, FLOW_FILE_FAILED, FLOW_FILE_SLOW, FLOW_EXPECTED; FLOW_INVALID and others that the file throws */
export async function loadFlow(path: string, dataDir: string): Promise<LoadedFlow> {
  const absolute = resolve(path), file = nearPath(absolute);
  await check(absolute, file);
  const { hash, code } = await bundleFlow(absolute);
  const bundle = await store(join(resolve(dataDir), "flows"), hash, code, keptBundles), found = await load(bundle, file);
  return { flow: flowOf(found, file), hash, module: pathToFileURL(bundle).href, file };
}

/** Makes of a flow's file what other machines can load. @throws MillraceError FLOW_FILE_MISSING, FLOW_FILE_INVALID */
export async function packFlow(path: string): Promise<Uint8Array> {
  const absolute = resolve(path);
  await check(absolute, nearPath(absolute));
  return await bundlePortable(absolute);
}

/** Loads what `packFlow` made: byte for byte, so what runs is what was signed. `file`: what it was made of. @throws MillraceError as loadFlow does */
export async function loadPacked(code: Uint8Array, { hash, file, dataDir }: { readonly hash: string; readonly file: string; readonly dataDir: string }): Promise<LoadedFlow> {
  const folder = join(resolve(dataDir), "deployed");
  await provideMillrace(join(folder, "node_modules", "millrace"));
  const bundle = await store(folder, hash, code, keptDeployed), found = await load(bundle, file);
  return { flow: flowOf(found, file), hash, module: pathToFileURL(bundle).href, file };
}

/** What a packed flow imports as "millrace" is the running one: a package that passes it on, so that nothing in the bundle is written anew. */
async function provideMillrace(folder: string): Promise<void> {
  const exports: Record<string, string> = {}, files = new Map<string, string>();
  for (const [name, url] of Object.entries(own)) {
    if (!existsSync(fileURLToPath(url))) continue;
    const path = name.slice("millrace".length).replace(/^\//, "") || "index";
    exports[path === "index" ? "." : `./${path}`] = `./${path}.js`;
    files.set(`${path}.js`, `export * from ${JSON.stringify(url)};\n`);
  }
  files.set("package.json", `${JSON.stringify({ name: "millrace", type: "module", exports })}\n`);
  await mkdir(folder, { recursive: true }).catch((thrown: unknown) => { throw unwritable(folder, thrown); });
  for (const [name, text] of files) {
    const path = join(folder, name);
    if ((await readFile(path, "utf8").catch(() => undefined)) !== text) await replace(path, text).catch((thrown: unknown) => { throw unwritable(folder, thrown); });
  }
}

async function replace(path: string, content: string | Uint8Array): Promise<void> {
  const made = `${path}.${process.pid}`;
  await writeFile(made, content);
  await rename(made, path);
}

function unwritable(folder: string, thrown: unknown): MillraceError {
  return new MillraceError("DATA_FOLDER_INVALID", folder, `The flow cannot be written into the data folder: ${asError(thrown).message}`, "Choose another folder with --data-dir.", { cause: thrown });
}

async function check(absolute: string, file: string): Promise<void> {
  const found = await stat(absolute).catch(() => undefined);
  if (found === undefined) throw new MillraceError("FLOW_FILE_MISSING", file, "There is no such file", "Give the path of a flow: a .ts or .js file with `export default defineFlow(…)`.");
  if (!found.isFile()) throw new MillraceError("FLOW_FILE_MISSING", file, "This is a folder, no file", "Give the path of a flow in it: a .ts or .js file with `export default defineFlow(…)`.");
  if (!endings.includes(extname(absolute))) throw new MillraceError("FLOW_FILE_INVALID", file, `A ${extname(absolute) || "file without ending"} is no flow`, "Give a .ts or .js file with `export default defineFlow(…)`.");
}

/** The bundle is written whole, and under its hash: a run's code can be looked at afterwards. */
async function store(folder: string, hash: string, code: string | Uint8Array, kept: number): Promise<string> {
  const path = join(folder, `${hash.slice(0, 32)}.mjs`);
  try {
    await mkdir(folder, { recursive: true });
    await replace(path, code);
    await utimes(path, new Date(), new Date());
    await sweep(folder, kept);
  } catch (error) {
    throw unwritable(folder, error);
  }
  return path;
}

async function sweep(folder: string, kept: number): Promise<void> {
  const bundles = await Promise.all((await readdir(folder)).filter((name) => name.endsWith(".mjs")).map(async (name) => ({ name, at: (await stat(join(folder, name)).catch(() => undefined))?.mtimeMs ?? 0 })));
  for (const { name } of bundles.sort((a, b) => b.at - a.at).slice(kept)) await rm(join(folder, name), { force: true });
}

async function load(bundle: string, file: string): Promise<Record<string, unknown>> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new MillraceError("FLOW_FILE_SLOW", file, `The file did not get through its top level within ${loadMs / 1000} s`, "Do what takes long in a source or a handler, not at the top level.")), loadMs);
  });
  try {
    return (await Promise.race([import(pathToFileURL(bundle).href), late])) as Record<string, unknown>;
  } catch (thrown) {
    if (thrown instanceof MillraceError) throw thrown;
    const error = asError(thrown);
    throw new MillraceError("FLOW_FILE_FAILED", placeOf(error) ?? file, `The file throws when it is loaded: ${error.name}: ${error.message}`, "Mend that and start again.", { cause: error });
  } finally {
    clearTimeout(timer);
  }
}

/** File and line of the author's where it was thrown; the stack is mapped already. */
function placeOf(error: Error): string | undefined {
  for (const [, path, line] of (error.stack ?? "").matchAll(/(?:\(|at |file:\/\/)(\/[^():\n]+):(\d+):\d+\)?$/gm)) {
    if (path !== undefined && !path.includes("/node_modules/") && !path.endsWith(".mjs")) return `${nearPath(path)}:${line}`;
  }
  return undefined;
}

function flowOf(module: Record<string, unknown>, file: string): Flow {
  const { default: found } = module;
  if (planOf(found) !== undefined) return found as Flow;
  const named = Object.entries(module).filter(([name, value]) => name !== "default" && planOf(value) !== undefined).map(([name]) => name);
  const remedy = named.length === 0 ? "Write `export default defineFlow(…)`." : `It exports ${named.join(", ")}: write \`export default ${named[0]}\`.`;
  if (found === undefined) throw new MillraceError("FLOW_EXPECTED", file, "The file has no default export", remedy);
  throw new MillraceError("FLOW_EXPECTED", file, `The default export of the file is ${sortOf(found)}, no flow`, remedy);
}
