// A folder with a flow's files, keys, and nodes of a cluster that are started in it, over one nats-server: for tests of deploying.
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import * as assert from "uvu/assert";
import { newKey } from "../../runtime/deploy/nkey.ts";
import { cli, type CliEnd, type CliProcess, startCli } from "./cli-process.ts";
import { linesIn } from "./line-count.ts";
import type { TestServer } from "./nats-server.ts";
import { temporaryFolder, type TemporaryFolder } from "./temporary-folder.ts";

/** A file of a flow: a source of numbers in five groups, 2,000 a second until a file `hurry` is where the node runs. */
export const unhurriedNumbers = (count: number): string => `import { existsSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { defineSource } from "millrace";
interface Numbered { readonly n: number; readonly group: number }
export const numbers = defineSource<Numbered, number>({ kind: "numbers", guarantee: "replayable", start: 0, ends: true, async *read(from) {
  for (let n = from; n < ${count}; n += 20) {
    yield Array.from({ length: 20 }, (_, i) => ({ data: { n: n + i, group: (n + i) % 5 }, position: n + i + 1 }));
    if (!existsSync("hurry")) await pause(10);
  }
} });
`;

export class DeploySite implements AsyncDisposable {
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  /** What the flow's sink writes: its path is in the environment, as OUTPUT. */
  readonly output: string;
  readonly #folder: TemporaryFolder;

  private constructor(folder: TemporaryFolder, env: Readonly<Record<string, string>>) {
    this.#folder = folder;
    this.cwd = folder.path;
    this.output = join(folder.path, "output.jsonl");
    this.env = { ...env, OUTPUT: this.output };
  }

  /** `files`: by path within the folder. */
  static async make({ servers, user, pass }: TestServer, files: Readonly<Record<string, string>>): Promise<DeploySite> {
    const folder = await temporaryFolder(), site = new DeploySite(folder, { MILLRACE_NATS: servers, MILLRACE_NATS_USER: user, MILLRACE_NATS_PASSWORD: pass });
    for (const [name, text] of Object.entries(files)) await site.write(name, text);
    return site;
  }

  async write(name: string, text: string): Promise<void> {
    await mkdir(join(this.cwd, name, ".."), { recursive: true });
    await writeFile(join(this.cwd, name), text);
  }

  cli(...args: readonly string[]): Promise<CliEnd> {
    return cli(args, { cwd: this.cwd, env: this.env });
  }

  /** Begins a command. */
  command(...args: readonly string[]): CliProcess {
    return startCli(args, { cwd: this.cwd, env: this.env });
  }

  /** The last line of its standard output. */
  async json<T>(code: number, ...args: readonly string[]): Promise<T> {
    const end = await this.cli(...args, "--json");
    assert.is(end.code, code, `${args.join(" ")}: ${end.stdout}${end.stderr}`);
    return JSON.parse(end.stdout) as T;
  }

  node(name: string, ...args: readonly string[]): CliProcess {
    return startCli(["node", "--name", name, "--broker-sync", "always", ...args], { cwd: this.cwd, env: this.env });
  }

  /** Makes one; gives its public half. */
  async key(file: string): Promise<string> {
    const { key, seed } = newKey("user");
    await writeFile(join(this.cwd, file), `${seed}\n`, { mode: 0o600 });
    return key.publicKey;
  }

  async lines(): Promise<readonly string[]> {
    return (await readFile(this.output, "utf8").catch(() => "")).split("\n").slice(0, -1);
  }

  /** How many of them. */
  count(): Promise<number> {
    return linesIn(this.output);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#folder[Symbol.asyncDispose]();
  }
}
