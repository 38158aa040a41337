// The suites on other versions: `--node 22` (or a path) is the Node that runs all of it, `--nats-server 2.10` (or a path) the server,
// `--nats-client natsio` the client library. The same script is run again under them, with the other arguments.
import { execFileSync, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rename, rm } from "node:fs/promises";
import { constants } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { parseArgs } from "node:util";
import { cacheFolder } from "../../runtime/broker/nats-server/find.ts";
import { findOrObtain } from "../../runtime/broker/nats-server/obtain.ts";
import { compareVersions } from "../../runtime/broker/nats-server/version.ts";

const names = ["node", "nats-server", "nats-client"] as const;
type Versions = { readonly [name in (typeof names)[number]]?: string };

/** Takes the options out of arguments. */
export function versionsIn(args: readonly string[]): { readonly versions: Versions; readonly others: readonly string[] } {
  const { tokens } = parseArgs({ args: [...args], strict: false, allowPositionals: true, tokens: true, options: { node: { type: "string" }, "nats-server": { type: "string" }, "nats-client": { type: "string" } } });
  const versions: Record<string, string> = {}, taken = new Set<number>();
  for (const token of tokens) {
    if (token.kind !== "option" || !names.some((name) => name === token.name)) continue;
    if (token.value === undefined) throw new Error(`--${token.name} needs a value, such as --node 22, --nats-server 2.10, --nats-client natsio`);
    versions[token.name] = token.value;
    taken.add(token.index);
    if (token.inlineValue === false) taken.add(token.index + 1);
  }
  return { versions, others: args.filter((_, index) => !taken.has(index)) };
}

/** Runs `script` under the versions that its arguments name, and resolves with its exit code; `undefined` where they name none. */
export async function runOnVersions(script: string, args: readonly string[]): Promise<number | undefined> {
  const { versions, others } = versionsIn(args);
  if (Object.keys(versions).length === 0) return undefined;
  const node = versions.node === undefined ? process.execPath : await nodeOf(versions.node), named = versions["nats-server"];
  const server = named === undefined ? undefined : existsSync(named) ? { path: named, version: "" } : await findOrObtain({ series: named, say: console.log });
  const env = {
    ...process.env, PATH: `${dirname(node)}${delimiter}${process.env["PATH"] ?? ""}`,
    ...(server === undefined ? {} : { MILLRACE_NATS_SERVER: server.path }),
    ...(versions["nats-client"] === undefined ? {} : { MILLRACE_NATS_CLIENT: versions["nats-client"] }),
  };
  console.log(`On Node ${execFileSync(node, ["--version"], { encoding: "utf8" }).trim()}${server === undefined ? "" : `, nats-server ${server.version || server.path}`}${versions["nats-client"] === undefined ? "" : `, client ${versions["nats-client"]}`}`);
  const child = spawn(node, ["--conditions=source", "--import", "tsx", script, ...others], { env, stdio: "inherit" });
  for (const signal of ["SIGTERM", "SIGHUP"] as const) process.on(signal, () => child.kill(signal));
  process.on("SIGINT", () => {});
  return await new Promise((resolve, reject) => {
    child.once("exit", (code, signal) => resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal])));
    child.once("error", reject);
  });
}

/** A Node by its path, or by its version, such as "22" or "24.1.0": then from npm, where Node's binaries are packages, kept in the cache. */
async function nodeOf(version: string): Promise<string> {
  if (existsSync(version)) return version;
  const system = process.platform === "win32" ? "win" : process.platform, about = `node-${system}-${process.arch}@${version}`;
  const npm = (args: readonly string[], cwd?: string) => execFileSync("npm", args, { encoding: "utf8", ...(cwd === undefined ? {} : { cwd }), stdio: ["ignore", "pipe", "inherit"] }).trim();
  // A range gives a list, in no order.
  const found = [JSON.parse(npm(["view", about, "version", "--json"])) as string | string[]].flat().sort(compareVersions).at(-1);
  if (found === undefined) throw new Error(`npm knows no ${about}`);
  const folder = join(dirname(cacheFolder()), "node"), kept = join(folder, found), node = join(kept, "bin", process.platform === "win32" ? "node.exe" : "node");
  if (existsSync(node)) return node;
  console.log(`fetching Node ${found} ...`);
  await mkdir(folder, { recursive: true });
  const made = await mkdtemp(join(folder, "fetching-"));
  try {
    const [{ filename }] = JSON.parse(npm(["pack", `node-${system}-${process.arch}@${found}`, "--json"], made)) as [{ filename: string }];
    execFileSync("tar", ["-xzf", filename], { cwd: made });
    await rename(join(made, "package"), kept);
  } finally {
    await rm(made, { recursive: true, force: true });
  }
  return node;
}
