import { createHash } from "node:crypto";
import { readdir } from "node:fs/promises";
import { gzipSync } from "node:zlib";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { cachedPath, cacheFolder } from "../../../../runtime/broker/nats-server/find.ts";
import { findOrObtain, obtain, sourcesOf } from "../../../../runtime/broker/nats-server/obtain.ts";
import { fakeHttp, type FakeHttp } from "../../../support/fake-http.ts";
import { fakeNatsServer } from "../../../support/fake-nats-server.ts";
import { rejection } from "../../../support/rejection.ts";
import { temporaryFolder } from "../../../support/temporary-folder.ts";

const test = suite("obtain");
const newest = "2.15.1";
const platform = process.platform === "darwin" ? "darwin" : "linux";
const architecture = ({ x64: "amd64", arm64: "arm64", arm: "arm7", ia32: "386", s390x: "s390x", ppc64: "ppc64le" } as Record<string, string>)[process.arch];

function nameOf(version: string): string {
  return `nats-server-v${version}-${platform}-${architecture}.tar.gz`;
}

/** A tar archive of plain files. */
function tar(files: Readonly<Record<string, string>>): Buffer {
  const blocks: Buffer[] = [];
  for (const [name, text] of Object.entries(files)) {
    const content = Buffer.from(text);
    const header = Buffer.alloc(512);
    header.write(name, 0);
    header.write("0000755\0", 100);
    header.write(`${content.length.toString(8).padStart(11, "0")}\0`, 124);
    header.write("        ", 148);
    header.write("0", 156);
    header.write("ustar\0", 257);
    header.write(`${header.reduce((sum, byte) => sum + byte, 0).toString(8).padStart(6, "0")}\0 `, 148);
    blocks.push(header, content, Buffer.alloc((512 - (content.length % 512)) % 512));
  }
  return Buffer.concat([...blocks, Buffer.alloc(1024)]);
}

interface Release {
  readonly version?: string;
  /** What the binary in the archive says it is. */
  readonly says?: string;
  readonly sums?: (name: string, sha256: string) => string;
}

/** A release as the official ones are laid out. */
function release({ version = newest, says = version, sums = (name, sha256) => `${sha256}  ${name}\n` }: Release = {}): Promise<FakeHttp> {
  const folder = `nats-server-v${version}-${platform}-${architecture}`;
  const archive = gzipSync(tar({ [`${folder}/README.md`]: "read me", [`${folder}/LICENSE`]: "x".repeat(3000), [`${folder}/nats-server`]: fakeNatsServer(says) }));
  const sha256 = createHash("sha256").update(archive).digest("hex");
  return fakeHttp(new Map<string, Uint8Array | string>([
    [`/v${version}/SHA256SUMS`, `${"0".repeat(64)}  nats-server-v${version}-plan9-amd64.tar.gz\n${sums(nameOf(version), sha256)}`],
    [`/v${version}/${nameOf(version)}`, archive],
  ]));
}

test("the official release for this platform is fetched, checked and kept; the next time it is found without asking", async () => {
  await using server = await release();
  await using root = await temporaryFolder();
  const env = { PATH: "", XDG_CACHE_HOME: root.path, MILLRACE_NATS_SOURCES: `release=${server.url}` };
  const said: string[] = [];
  const first = await findOrObtain({ env, say: (line) => said.push(line) });
  assert.equal(first, { path: cachedPath(newest, env), version: newest });
  assert.equal(server.asked, [`/v${newest}/SHA256SUMS`, `/v${newest}/${nameOf(newest)}`]);
  assert.ok(said.some((line) => line.includes(server.url)), "it says where it fetches from");
  assert.equal(await findOrObtain({ env }), first);
  assert.is(server.asked.length, 2);
  assert.equal(await readdir(cacheFolder(env)), [newest], "no working folder is left");
});

test("the lower end is fetched in its own version", async () => {
  await using server = await release({ version: "2.10.27" });
  await using root = await temporaryFolder();
  const { version } = await findOrObtain({ env: { PATH: "", XDG_CACHE_HOME: root.path }, series: "2.10", sources: [{ kind: "release", url: `${server.url}/` }] });
  assert.is(version, "2.10.27");
});

const refused: readonly (readonly [guarantee: string, release: Release, reason: RegExp])[] = [
  ["an archive with another SHA-256 than SHA256SUMS says is refused", { sums: (name) => `${"a".repeat(64)}  ${name}\n` }, /has the SHA-256 [0-9a-f]{64}, and SHA256SUMS says a{64}/],
  ["an archive that SHA256SUMS does not list is refused", { sums: () => "" }, /SHA256SUMS does not list/],
  ["an archive whose binary is of another version than tested is refused", { says: "2.16.0" }, /is 2\.16\.0, not in the range/],
  ["an archive whose binary does not run is refused", { says: "none" }, /does not run here/],
];
for (const [guarantee, options, reason] of refused) {
  test(guarantee, async () => {
    await using server = await release(options);
    await using root = await temporaryFolder();
    const env = { XDG_CACHE_HOME: root.path };
    const error = await rejection(obtain({ env, sources: [{ kind: "release", url: server.url }] }));
    assert.is(error.code, "NATS_SERVER_MISSING");
    assert.match(error.message, reason);
    assert.equal(await readdir(cacheFolder(env)), [], "nothing of it is kept");
  });
}

test("a source that has none is passed over, and said; the next one serves", async () => {
  await using empty = await fakeHttp(new Map());
  await using server = await release();
  await using root = await temporaryFolder();
  const said: string[] = [];
  const env = { XDG_CACHE_HOME: root.path, MILLRACE_NATS_SOURCES: `release=${empty.url} release=${server.url}` };
  assert.is((await obtain({ env, say: (line) => said.push(line) })).version, newest);
  assert.ok(said.some((line) => line.includes("404")));
});

test("if nothing works, one message names what was tried and every way", async () => {
  await using empty = await fakeHttp(new Map());
  await using closed = await fakeHttp(new Map());
  await closed[Symbol.asyncDispose]();
  await using root = await temporaryFolder();
  const env = { PATH: "", XDG_CACHE_HOME: root.path };
  const { code, message } = await rejection(findOrObtain({ env, sources: [{ kind: "release", url: empty.url }, { kind: "release", url: closed.url }] }));
  assert.is(code, "NATS_SERVER_MISSING");
  for (const words of [empty.url, "404", "ECONNREFUSED", "--nats nats://", "or MILLRACE_NATS", "MILLRACE_NATS_SERVER=", "apt install nats-server", "brew install", "releases", cachedPath("<version>", env), "MILLRACE_NATS_SOURCES="]) {
    assert.ok(message.includes(words), `the message says "${words}": ${message}`);
  }
});

test("a cache folder that cannot be made is said, with the way out", async () => {
  const { message } = await rejection(obtain({ env: { XDG_CACHE_HOME: "/dev/null" }, sources: [{ kind: "release" }] }));
  assert.match(message, /set XDG_CACHE_HOME/);
});

test("MILLRACE_NATS_SOURCES lists sources, none for an empty text, and refuses what is no source", async () => {
  assert.equal(sourcesOf({}), [{ kind: "debian" }, { kind: "release" }]);
  assert.equal(sourcesOf({ MILLRACE_NATS_SOURCES: "" }), []);
  assert.equal(sourcesOf({ MILLRACE_NATS_SOURCES: "release=http://a/b debian=http://c/debian debian" }), [{ kind: "release", url: "http://a/b" }, { kind: "debian", uri: "http://c/debian" }, { kind: "debian" }]);
  assert.is((await rejection(obtain({ env: { MILLRACE_NATS_SOURCES: "ubuntu" } }))).code, "NATS_SOURCES_INVALID");
});

test.run();
