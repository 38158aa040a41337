// A nats-server from the project's official releases: the archive for this platform, checked by the release's SHA256SUMS.
import { createHash } from "node:crypto";
import { chmod, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import type { Obtaining } from "./debian-archive.ts";

export interface OfficialRelease {
  readonly kind: "release";
  /** Folder of the releases. Default that of the official ones. */
  readonly url?: string;
}

/** What is fetched: the newest that was tested, and the lower end for tests. */
const released = { newest: "2.15.1", "2.10": "2.10.27" } as const;
const officialUrl = "https://github.com/nats-io/nats-server/releases/download";
const maxArchiveBytes = 64 * 1024 * 1024;
const maxSumsBytes = 64 * 1024;
const platforms: Readonly<Record<string, string>> = { linux: "linux", darwin: "darwin", win32: "windows", freebsd: "freebsd" };
const architectures: Readonly<Record<string, string>> = { x64: "amd64", arm64: "arm64", arm: "arm7", ia32: "386", s390x: "s390x", ppc64: "ppc64le" };

/** Unpacks one into `work` and gives the path of its binary. Rejects with an Error in words. */
export async function fromRelease(release: OfficialRelease, { work, series, signal }: Obtaining): Promise<string> {
  const [platform, architecture] = [platforms[process.platform], architectures[process.arch]];
  if (platform === undefined || architecture === undefined) throw new Error(`there is no release for ${process.platform} on ${process.arch}`);
  const version = series === undefined ? released.newest : released[series as keyof typeof released];
  if (version === undefined) throw new Error(`no release of the series ${series} is known`);
  const folder = `${(release.url ?? officialUrl).replace(/\/$/, "")}/v${version}`;
  const name = `nats-server-v${version}-${platform}-${architecture}.tar.gz`;
  const sums = (await download(`${folder}/SHA256SUMS`, maxSumsBytes, signal)).toString("utf8");
  const expected = sums.split("\n").map((line) => line.trim().split(/\s+\*?/)).find(([, file]) => file === name)?.[0];
  if (expected === undefined) throw new Error(`${folder}/SHA256SUMS does not list ${name}`);
  const archive = await download(`${folder}/${name}`, maxArchiveBytes, signal);
  const actual = createHash("sha256").update(archive).digest("hex");
  if (actual !== expected.toLowerCase()) throw new Error(`${folder}/${name} has the SHA-256 ${actual}, and SHA256SUMS says ${expected}`);
  const program = process.platform === "win32" ? "nats-server.exe" : "nats-server";
  const content = fileInTar(gunzipSync(archive, { maxOutputLength: 4 * maxArchiveBytes }), program);
  if (content === undefined) throw new Error(`${name} holds no ${program}`);
  const binary = join(work, program);
  await writeFile(binary, content);
  await chmod(binary, 0o755);
  return binary;
}

async function download(url: string, maxBytes: number, signal: AbortSignal): Promise<Buffer> {
  const response = await fetch(url, { signal, redirect: "follow" }).catch((error: Error) => {
    signal.throwIfAborted();
    throw new Error(`${url}: ${error.cause instanceof Error ? error.cause.message : error.message}`, { cause: error });
  });
  if (!response.ok || response.body === null) throw new Error(`${url}: ${response.status} ${response.statusText}`);
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
    size += chunk.length;
    if (size > maxBytes) throw new Error(`${url} is larger than ${maxBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** The content of the first plain file of that name, in any folder of a tar archive. */
export function fileInTar(tar: Buffer, name: string): Buffer | undefined {
  const block = 512;
  for (let at = 0; at + block <= tar.length; ) {
    const header = tar.subarray(at, at + block);
    if (header[0] === 0) return undefined;
    const text = (from: number, length: number) => header.subarray(from, from + length).toString("latin1").replace(/\0.*$/s, "");
    const size = Number.parseInt(text(124, 12).trim() || "0", 8);
    if (!Number.isSafeInteger(size) || size < 0) return undefined;
    const isFile = header[156] === 0 || text(156, 1) === "0";
    if (isFile && text(0, 100).split("/").pop() === name) return tar.subarray(at + block, at + block + size);
    at += block + Math.ceil(size / block) * block;
  }
  return undefined;
}
