// Fetches a nats-server into the cache, from the first source that has one. Used by the set-up, and by a node that embeds its server.
import { mkdir, mkdtemp, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { asError, MillraceError } from "../../event/errors.ts";
import { fromDebian, type DebianArchive } from "./debian-archive.ts";
import { cachedPath, cacheFolder, findNatsServer, type Environment, type Search } from "./find.ts";
import { fromRelease, type OfficialRelease } from "./official-release.ts";
import { isTested, testedRangeText, versionOf, type NatsServerBinary } from "./version.ts";

export type Source = DebianArchive | OfficialRelease;

export interface ObtainOptions {
  readonly env?: Environment;
  /** Tried in this order. Default: what MILLRACE_NATS_SOURCES says, else Debian's archive, then the official release. */
  readonly sources?: readonly Source[];
  /** Of one series only, such as "2.10": for tests of the lower end. Default: the newest in the tested range. */
  readonly series?: string;
  /** Told what is going on, a line a call. Default: nobody. */
  readonly say?: (line: string) => void;
}

const obtainTimeoutMs = 300_000;

/**
 * Sources as MILLRACE_NATS_SOURCES writes them, separated by spaces: `debian`, `debian=<archive URI>`, `release`, `release=<URL>`; an empty text is none.
 *
 * @throws MillraceError NATS_SOURCES_INVALID
 */
export function sourcesOf(env: Environment): readonly Source[] {
  const text = env["MILLRACE_NATS_SOURCES"];
  if (text === undefined) return [{ kind: "debian" }, { kind: "release" }];
  return text.split(/\s+/).filter((word) => word !== "").map((word) => {
    const [, kind, address] = /^(debian|release)(?:=(.+))?$/.exec(word) ?? [];
    if (kind === "debian") return address === undefined ? { kind } : { kind, uri: address };
    if (kind === "release") return address === undefined ? { kind } : { kind, url: address };
    throw new MillraceError("NATS_SOURCES_INVALID", "MILLRACE_NATS_SOURCES", `"${word}" is no source of a nats-server`, "Use debian, debian=<archive URI>, release, release=<URL>, separated by spaces.");
  });
}

/**
 * The nats-server to start: the one that MILLRACE_NATS_SERVER names, else the newest in the tested range on the PATH or in the cache, else
 * one that is fetched into the cache.
 *
 * @throws MillraceError NATS_SERVER_INVALID, NATS_SOURCES_INVALID, NATS_SERVER_MISSING
 */
export async function findOrObtain(options: ObtainOptions = {}): Promise<NatsServerBinary> {
  const search = await findNatsServer(options);
  return search.found ?? obtain(options, search);
}

/**
 * Fetches one, whatever is there already. At most 5 minutes a source.
 *
 * @throws MillraceError NATS_SERVER_MISSING: names what was tried and every way to get one.
 */
export async function obtain(options: ObtainOptions = {}, search: Search = { passedOver: [] }): Promise<NatsServerBinary> {
  const { env = process.env, say = () => {}, series } = options;
  const tried: string[] = search.passedOver.map(({ path, reason }) => `${path}: ${reason}`);
  for (const source of options.sources ?? sourcesOf(env)) {
    say(`No nats-server of the range ${series ?? testedRangeText} is here; fetching one from ${nameOf(source)} ...`);
    try {
      const binary = await fetchFrom(source, env, series, say);
      say(`nats-server ${binary.version} is in ${binary.path}`);
      return binary;
    } catch (error) {
      tried.push(`${nameOf(source)}: ${asError(error).message}`);
      say(`  not there: ${asError(error).message}`);
    }
  }
  throw new MillraceError(
    "NATS_SERVER_MISSING",
    "nats-server",
    `there is no nats-server of the range ${series ?? testedRangeText} on this machine, and none could be fetched`,
    [
      ...(tried.length === 0 ? [] : ["Tried:", ...tried.map((line) => `  - ${line}`)]),
      "Do one of these:",
      "  - connect to a server that runs: --nats nats://host:4222, or MILLRACE_NATS",
      "  - name a binary: MILLRACE_NATS_SERVER=/path/to/nats-server",
      "  - install one that the PATH leads to: apt install nats-server (Debian 13 or newer), brew install nats-server, or https://github.com/nats-io/nats-server/releases",
      `  - put one into the cache: ${cachedPath("<version>", env)}`,
      "  - let this machine reach Debian's archive or the official releases, or name others: MILLRACE_NATS_SOURCES=\"debian=<archive URI> release=<URL>\"",
    ].join("\n"),
  );
}

async function fetchFrom(source: Source, env: Environment, series: string | undefined, say: (line: string) => void): Promise<NatsServerBinary> {
  const cache = cacheFolder(env);
  await mkdir(cache, { recursive: true }).catch((error: Error) => {
    throw new Error(`the cache folder cannot be made (set XDG_CACHE_HOME to one that can): ${error.message}`, { cause: error });
  });
  // Beside its later place, so that the move at the end is one rename.
  const work = await mkdtemp(join(cache, ".fetching-"));
  try {
    const obtaining = { work, say, signal: AbortSignal.timeout(obtainTimeoutMs), ...(series === undefined ? {} : { series }) };
    const unpacked = source.kind === "debian" ? await fromDebian(source, obtaining, faultOf) : await fromRelease(source, obtaining);
    const fault = await faultOf(unpacked);
    if (fault !== undefined) throw new Error(fault);
    return await keep(unpacked, env);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** Why a fetched binary does not serve: it does not run here (another C library), or it is not what was asked for. */
async function faultOf(binary: string): Promise<string | undefined> {
  const looked = await versionOf(binary);
  if ("failure" in looked) return `the one fetched does not run here: ${looked.failure}`;
  return isTested(looked.version) ? undefined : `the one fetched is ${looked.version}, not in the range ${testedRangeText}`;
}

async function keep(unpacked: string, env: Environment): Promise<NatsServerBinary> {
  const looked = await versionOf(unpacked);
  if ("failure" in looked) throw new Error(looked.failure);
  const path = cachedPath(looked.version, env);
  await mkdir(dirname(path), { recursive: true });
  // Replaces what another start put there meanwhile; one that runs keeps its file.
  await rename(unpacked, path);
  return { path, version: looked.version };
}

function nameOf(source: Source): string {
  if (source.kind === "debian") return `Debian's archive${source.uri === undefined ? "" : ` at ${source.uri}`}`;
  return `the official releases${source.url === undefined ? "" : ` at ${source.url}`}`;
}
