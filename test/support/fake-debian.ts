// A Debian archive of one package, signed by a key of its own, laid out as the real one.
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { placeFakeNatsServer } from "./fake-nats-server.ts";

const run = promisify(execFile);

export interface FakeSuite {
  readonly suite: string;
  /** Of the package, such as "2.15.1-1". */
  readonly version: string;
  /** What the binary inside says it is. Default: the version without its Debian part. */
  readonly says?: string;
  /** Default "good". */
  readonly fault?: "unsigned" | "foreign-key" | "changed-package" | "changed-list";
}

export interface FakeArchive {
  /** For fakeHttp. */
  readonly files: ReadonlyMap<string, Uint8Array | string>;
  /** The public key that signs it. */
  readonly keyring: string;
}

/** Whether this machine has what makes one and what reads one. */
export async function canFakeDebian(): Promise<boolean> {
  const there = ["apt-get", "dpkg-deb", "gpg", "gpgconf"].map((command) => run(command, ["--version"]).then(() => true, () => false));
  return (await Promise.all(there)).every((yes) => yes);
}

export async function fakeArchive(folder: string, suites: readonly FakeSuite[]): Promise<FakeArchive> {
  const architecture = (await run("dpkg", ["--print-architecture"])).stdout.trim();
  const files = new Map<string, Uint8Array | string>();
  const own = await newKey(join(folder, "own"));
  const foreign = suites.some(({ fault }) => fault === "foreign-key") ? await newKey(join(folder, "foreign")) : own;
  try {
    for (const { suite, version, says = version.replace(/-.*/, ""), fault } of suites) {
      const deb = await packed(join(folder, suite), version, says, architecture);
      const path = `pool/nats-server_${version}_${architecture}.deb`;
      const list = `Package: nats-server\nVersion: ${version}\nArchitecture: ${architecture}\nMaintainer: nobody <nobody@example.org>\nFilename: ${path}\nSize: ${deb.length}\nSHA256: ${sha256(deb)}\nDescription: a fake\n`;
      const release = `Origin: Fake\nSuite: ${suite}\nCodename: ${suite}\nDate: ${new Date().toUTCString()}\nArchitectures: ${architecture}\nComponents: main\nSHA256:\n ${sha256(Buffer.from(list))} ${list.length} main/binary-${architecture}/Packages\n`;
      const signed = await signature(fault === "foreign-key" ? foreign : own, join(folder, suite), release);
      files.set(`/dists/${suite}/${fault === "unsigned" ? "Release" : "InRelease"}`, fault === "unsigned" ? release : signed);
      files.set(`/dists/${suite}/main/binary-${architecture}/Packages`, fault === "changed-list" ? list.replace("a fake", "a fork") : list);
      files.set(`/${path}`, fault === "changed-package" ? Buffer.concat([deb.subarray(0, -1), Buffer.from([0])]) : deb);
    }
    const { stdout } = await run("gpg", ["--homedir", own, "--export"], { encoding: "buffer" });
    const keyring = join(folder, "keyring.gpg");
    await writeFile(keyring, stdout);
    return { files, keyring };
  } finally {
    // gpg starts an agent for each home, which would outlive the test.
    for (const home of new Set([own, foreign])) await run("gpgconf", ["--homedir", home, "--kill", "all"]);
  }
}

async function packed(folder: string, version: string, says: string, architecture: string): Promise<Buffer> {
  const tree = join(folder, "tree");
  await placeFakeNatsServer(join(tree, "usr/sbin/nats-server"), says);
  await mkdir(join(tree, "DEBIAN"), { recursive: true });
  await writeFile(join(tree, "DEBIAN/control"), `Package: nats-server\nVersion: ${version}\nArchitecture: ${architecture}\nMaintainer: nobody <nobody@example.org>\nDescription: a fake\n`);
  await run("dpkg-deb", ["--build", "--root-owner-group", tree, join(folder, "fake.deb")]);
  return readFile(join(folder, "fake.deb"));
}

async function newKey(home: string): Promise<string> {
  await mkdir(home, { recursive: true, mode: 0o700 });
  await run("gpg", ["--homedir", home, "--batch", "--passphrase", "", "--quick-generate-key", "fake@example.org", "rsa2048", "sign"]);
  return home;
}

async function signature(home: string, folder: string, text: string): Promise<Buffer> {
  await writeFile(join(folder, "Release"), text);
  await run("gpg", ["--homedir", home, "--batch", "--yes", "--clearsign", "--output", join(folder, "InRelease"), join(folder, "Release")]);
  return readFile(join(folder, "InRelease"));
}

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
