// Finds a nats-server that is already on this machine; obtain.ts fetches one where there is none.
import { constants } from "node:fs";
import { access, readdir, realpath } from "node:fs/promises";
import { homedir } from "node:os";
import { delimiter, join } from "node:path";
import { MillraceError } from "../../event/errors.ts";
import { compareVersions, isTested, testedRange, testedRangeText, versionOf, type NatsServerBinary } from "./version.ts";

export type Environment = Readonly<Record<string, string | undefined>>;

export interface Search {
  readonly found?: NatsServerBinary;
  /** What was looked at and not taken, with the reason. */
  readonly passedOver: readonly { readonly path: string; readonly reason: string }[];
}

const program = process.platform === "win32" ? "nats-server.exe" : "nats-server";

/** Where obtained servers are kept: `$XDG_CACHE_HOME/millrace/nats-server`, by default under `~/.cache`. One folder a version. */
export function cacheFolder(env: Environment = process.env): string {
  return join(env["XDG_CACHE_HOME"] || join(env["HOME"] || homedir(), ".cache"), "millrace", "nats-server");
}

/** Where the cache keeps the binary of one version. */
export function cachedPath(version: string, env: Environment = process.env): string {
  return join(cacheFolder(env), version, program);
}

/**
 * The binary that MILLRACE_NATS_SERVER names, else the newest in the tested range on the PATH or in the cache. `series` ("2.10") narrows it
 * to that series and leaves MILLRACE_NATS_SERVER aside: for tests of the lower end.
 *
 * @throws MillraceError NATS_SERVER_INVALID where MILLRACE_NATS_SERVER names what is none, or one that is too old.
 */
export async function findNatsServer(options: { readonly env?: Environment; readonly series?: string } = {}): Promise<Search> {
  const { env = process.env, series } = options;
  const named = env["MILLRACE_NATS_SERVER"];
  if (named && series === undefined) return { found: await namedServer(named), passedOver: [] };
  const passedOver: { path: string; reason: string }[] = [];
  const usable: NatsServerBinary[] = [];
  for (const looked of await Promise.all((await candidates(env)).map(async (path) => ({ path, ...(await versionOf(path)) })))) {
    const { path } = looked;
    if ("failure" in looked) passedOver.push({ path, reason: looked.failure });
    else if (!isTested(looked.version)) passedOver.push({ path, reason: `${looked.version} is not in the tested range ${testedRangeText}` });
    else if (series === undefined || looked.version.startsWith(`${series}.`)) usable.push({ path, version: looked.version });
    else passedOver.push({ path, reason: `${looked.version} is not of the series ${series}` });
  }
  // The sort is stable: of equal versions the first on the PATH is taken, and the PATH goes before the cache.
  const [found] = usable.sort((a, b) => compareVersions(b.version, a.version));
  return found === undefined ? { passedOver } : { found, passedOver };
}

async function namedServer(path: string): Promise<NatsServerBinary> {
  const looked = await versionOf(path);
  const fault =
    "failure" in looked ? `is no nats-server that runs here: ${looked.failure}`
    : compareVersions(looked.version, testedRange.from) < 0 ? `is version ${looked.version}, older than ${testedRange.from}`
    : undefined;
  if ("version" in looked && fault === undefined) return { path, version: looked.version };
  throw new MillraceError(
    "NATS_SERVER_INVALID",
    "MILLRACE_NATS_SERVER",
    `${path} ${fault}`,
    `Let MILLRACE_NATS_SERVER name a nats-server in the range ${testedRangeText}, or unset it: then one is found or fetched.`,
  );
}

async function candidates(env: Environment): Promise<readonly string[]> {
  const folders = (env["PATH"] ?? "").split(delimiter).filter((folder) => folder !== "");
  const cached = await readdir(cacheFolder(env)).catch(() => [] as string[]);
  const paths = [...folders.map((folder) => join(folder, program)), ...cached.filter((name) => /^\d/.test(name)).map((version) => cachedPath(version, env))];
  const there: string[] = [];
  const seen = new Set<string>();
  for (const path of paths) {
    const real = await access(path, constants.X_OK).then(() => realpath(path)).catch(() => undefined);
    if (real === undefined || seen.has(real)) continue;
    seen.add(real);
    there.push(path);
  }
  return there;
}
