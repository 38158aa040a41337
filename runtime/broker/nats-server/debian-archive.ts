// A nats-server from Debian's signed archive, as an ordinary user: apt-get with a configuration, lists, cache and state of its own inside a
// working folder, so nothing of the system is read beyond its mirror, proxy settings and keyring, and nothing is changed. apt-get checks
// the archive's signature with the system's Debian keyring, and each file by the hashes that are signed.
import { execFile } from "node:child_process";
import { access, mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { isTested, testedRangeText } from "./version.ts";

export interface DebianArchive {
  readonly kind: "debian";
  /** Where the archive is. Default: what this machine's own apt uses for Debian, then deb.debian.org. */
  readonly uri?: string;
  /** What signs it. Default: the keyring of the package debian-archive-keyring. */
  readonly keyring?: string;
  /** Suites or code names, tried in this order. Default unstable, testing, stable, so the newest comes first. */
  readonly suites?: readonly string[];
}

export interface Obtaining {
  /** An empty folder to work in; the caller removes it. */
  readonly work: string;
  /** Of one series only, such as "2.10". Default: any in the tested range. */
  readonly series?: string;
  readonly signal: AbortSignal;
  /** Told what did not work, a line a call. */
  readonly say: (line: string) => void;
}

const keyrings = ["/usr/share/keyrings/debian-archive-keyring.gpg", "/usr/share/keyrings/debian-archive-keyring.pgp"];
const mirror = "http://deb.debian.org/debian";
const carriedOver = /^Acquire::(http|https|ftp|ForceIPv4|ForceIPv6|Retries|Proxy|Check-Valid-Until|Check-Date|Max-ValidTime|Min-ValidTime)\b/i;
const unreachable = /could not connect|could not resolve|temporary failure resolving|connection (failed|refused|timed out)|unable to connect|no route to host/i;

/** The series that a release of Debian keeps to, for tests of the lower end: unstable, testing and stable move on. */
const releaseOfSeries: Readonly<Record<string, readonly string[]>> = { "2.10": ["trixie"] };

/** Unpacks one into `work` and gives the path of its binary. Rejects with an Error in words; `runs` says why an unpacked one does not serve. */
export async function fromDebian(archive: DebianArchive, obtaining: Obtaining, runs: (binary: string) => Promise<string | undefined>): Promise<string> {
  const { series, signal, say } = obtaining;
  const keyring = archive.keyring ?? (await firstThere(keyrings));
  if (keyring === undefined) throw new Error("there is no Debian keyring on this machine");
  const architecture = (await run("dpkg", ["--print-architecture"], signal, process.env)).trim();
  const suites = archive.suites ?? releaseOfSeries[series ?? ""] ?? ["unstable", "testing", "stable"];
  const failures: string[] = [];
  const failed = (failure: string) => {
    failures.push(failure);
    say(`  passed over: ${failure}`);
  };
  for (const uri of archive.uri === undefined ? await mirrors(signal) : [archive.uri]) {
    for (const suite of suites) {
      const folder = join(obtaining.work, `debian-${failures.length}`);
      try {
        const binary = await fromSuite({ uri, suite, keyring, architecture, folder, series, signal });
        const fault = await runs(binary);
        if (fault === undefined) return binary;
        failed(`${uri} ${suite}: ${fault}`);
      } catch (error) {
        signal.throwIfAborted();
        const message = (error as Error).message;
        failed(`${uri} ${suite}: ${message}`);
        if (unreachable.test(message)) break;
      }
    }
  }
  throw new Error(failures.join("; "));
}

interface Suite {
  readonly uri: string;
  readonly suite: string;
  readonly keyring: string;
  readonly architecture: string;
  readonly folder: string;
  readonly series: string | undefined;
  readonly signal: AbortSignal;
}

async function fromSuite({ uri, suite, keyring, architecture, folder, series, signal }: Suite): Promise<string> {
  const at = (name: string) => join(folder, name);
  for (const name of ["lists/partial", "cache/archives/partial", "state", "conf", "download"]) await mkdir(at(name), { recursive: true });
  await writeFile(at("status"), "");
  await writeFile(at("sources.list"), `deb [arch=${architecture} target=Packages signed-by=${keyring}] ${uri} ${suite} main\n`);
  await writeFile(at("apt.conf"), `${await machineSettings(signal)}
Dir::State "${at("state")}";
Dir::State::lists "${at("lists")}";
Dir::State::status "${at("status")}";
Dir::Cache "${at("cache")}";
Dir::Etc::main "${at("conf/none")}";
Dir::Etc::parts "${at("conf")}";
Dir::Etc::sourcelist "${at("sources.list")}";
Dir::Etc::sourceparts "-";
Dir::Etc::preferences "${at("conf/none")}";
Dir::Etc::preferencesparts "${at("conf")}";
APT::Sandbox::User "root";
APT::Update::Error-Mode "any";
Acquire::Languages "none";
Acquire::http::Timeout "20";
Acquire::https::Timeout "20";
`);
  const env = { ...process.env, APT_CONFIG: at("apt.conf"), LC_ALL: "C" };
  await run("apt-get", ["-q", "update"], signal, env);
  const versions = (await run("apt-cache", ["madison", "nats-server"], signal, env)).split("\n").map((line) => line.split("|")[1]?.trim() ?? "");
  const version = versions.find((v) => isTested(upstream(v)) && (series === undefined || upstream(v).startsWith(`${series}.`)));
  if (version === undefined) {
    throw new Error(`has ${versions.filter((v) => v !== "").join(", ") || "no nats-server"}, not in the range ${series ?? testedRangeText}`);
  }
  await run("apt-get", ["-q", "download", `nats-server=${version}`], signal, env, at("download"));
  const [file] = (await readdir(at("download"))).filter((name) => name.endsWith(".deb"));
  if (file === undefined) throw new Error("apt-get downloaded nothing");
  await run("dpkg-deb", ["-x", join(at("download"), file), at("unpacked")], signal, env);
  const binary = await firstThere([at("unpacked/usr/bin/nats-server"), at("unpacked/usr/sbin/nats-server")]);
  if (binary === undefined) throw new Error(`${file} holds no nats-server`);
  return binary;
}

/** "2.15.1" of "1:2.15.1-1+b2"; "0" where it is none. */
function upstream(version: string): string {
  return /^(?:\d+:)?(\d+\.\d+\.\d+)/.exec(version)?.[1] ?? "0";
}

/** The URIs that this machine's apt has for Debian itself, without its security archive, and Debian's own. */
async function mirrors(signal: AbortSignal): Promise<readonly string[]> {
  const format = "$(CREATED_BY)\t$(REPO_URI)\t$(LABEL)\t$(RELEASE)";
  const targets = await run("apt-get", ["indextargets", "--format", format], signal, process.env).catch(() => "");
  const uris = new Set<string>();
  for (const line of targets.split("\n")) {
    const [createdBy, uri = "", label, release = ""] = line.split("\t");
    // Before the first `apt-get update` of a machine its label is not known, but its URI is.
    const isDebian = label === "Debian" || (label === "" && /\/debian\/?$/.test(uri));
    if (createdBy === "Packages" && isDebian && !/-security|-updates|-backports/.test(release) && /^(https?|mirror\+https?):/.test(uri)) uris.add(uri.replace(/\/$/, ""));
  }
  return [...uris.add(mirror)];
}

/**
 * How this machine reaches the network (proxies, certificates) and how old a signed list may be, as lines of an apt.conf. All else of its
 * configuration stays out, above all what would let an unsigned archive in.
 */
async function machineSettings(signal: AbortSignal): Promise<string> {
  const dump = await run("apt-config", ["dump"], signal, process.env);
  return dump.split("\n").filter((line) => carriedOver.test(line)).join("\n");
}

async function firstThere(paths: readonly string[]): Promise<string | undefined> {
  for (const path of paths) {
    if (await access(path).then(() => true, () => false)) return path;
  }
  return undefined;
}

function run(command: string, args: readonly string[], signal: AbortSignal, env: NodeJS.ProcessEnv, cwd?: string): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(command, args, { signal, env, ...(cwd === undefined ? {} : { cwd }), maxBuffer: 16 * 1024 * 1024 }, (error, stdout, stderr) => {
      if (error === null) return resolve(stdout);
      const { code } = error as { code?: unknown };
      if (code === "ENOENT") return reject(new Error(`there is no ${command} on this machine`));
      const complaints = stderr.split("\n").filter((line) => /^(E:|Err|W: GPG|W: Failed)/.test(line));
      reject(new Error(`${command} ${args.find((arg) => !arg.startsWith("-"))}: ${(complaints.length > 0 ? complaints.slice(0, 3).join(" ") : stderr.trim() || error.message).slice(0, 600)}`));
    });
  });
}
