// What chaos over several nodes happens in: three nats-servers that hold each stream three times, three places with a node each
// (`millrace node`, which trusts one key), and a flow that is deployed to them. Each node has lines of its own to the servers.
import { writeFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import type { Broker } from "../../runtime/broker/broker.ts";
import { connect } from "../../runtime/broker/nats-broker.ts";
import { newKey } from "../../runtime/deploy/nkey.ts";
import { bundledProgram } from "../support/bundled-program.ts";
import { type CliEnd, type CliProcess, program, startCli } from "../support/cli-process.ts";
import type { TestServer } from "../support/nats-server.ts";
import { eventually } from "../support/waiting.ts";
import type { ChaosCode, ChaosFlow } from "./chaos-flow.ts";
import { type ChaosGround, chaosGround, mended, type Place } from "./chaos-world.ts";
import type { Preload } from "./cluster-chaos-preload.ts";

/** Where a node lives, one life after the other. */
export interface NodePlace extends Place {
  node: CliProcess | undefined;
  /** A fault has it: others leave it alone, and it is not brought back by itself. */
  isTaken: boolean;
}

export interface ClusterWorldOptions {
  readonly flow: ChaosFlow;
  /** Gets everything that nodes and flow write. */
  readonly folder: string;
  readonly small: boolean;
}

/** What a command came to. */
export interface Commanded {
  /** 0: done; "late": it was ended, since it took too long. */
  readonly code: number | "late";
  /** Code of the error that it was refused with. */
  readonly refused: string | undefined;
  /** Its line of JSON. */
  readonly json: Readonly<Record<string, unknown>>;
  readonly said: string;
}

const names = ["n1", "n2", "n3"] as const, answerMs = 30_000, commandMs = 200_000, lifeMs = 86_400_000;

export class ClusterChaosWorld implements AsyncDisposable {
  readonly options: ClusterWorldOptions;
  readonly servers: readonly TestServer[];
  readonly places: readonly NodePlace[];
  /** All that were ever deployed, or tried to be. */
  readonly codes: ChaosCode[] = [];
  /** All lives of nodes that there were. */
  lives = 0;
  readonly #ground: ChaosGround;
  readonly #preload: string;
  readonly #key: string;
  #broker: Broker | undefined;

  private constructor(options: ClusterWorldOptions, ground: ChaosGround, preload: string, key: string) {
    this.options = options;
    this.#ground = ground;
    this.servers = ground.servers;
    this.places = ground.places.map((place) => ({ ...place, node: undefined, isTaken: false }));
    this.#preload = preload;
    this.#key = key;
  }

  static async start(options: ClusterWorldOptions): Promise<ClusterChaosWorld> {
    const { folder } = options, preload = await bundledProgram(new URL("cluster-chaos-preload.ts", import.meta.url), folder), { key, seed } = newKey("user");
    await writeFile(join(folder, "deploy.nk"), `${seed}\n`, { mode: 0o600 });
    return new ClusterChaosWorld(options, await chaosGround({ servers: 3, fsync: "always", folder }, names), preload, key.publicKey);
  }

  /** A connection that no fault but a server's disturbs. */
  async broker(): Promise<Broker> {
    return (this.#broker ??= await eventually("the servers answer", () => connect({ servers: this.servers.map(({ servers }) => servers), ...this.#ground.access }), answerMs));
  }

  /** Begins a life of a node. */
  live(place: NodePlace): CliProcess {
    const { folder, small } = this.options, life = `${place.name}-${++this.lives}`;
    const preload: Preload = { program: pathToFileURL(program.at(-1) as string).href, archive: join(folder, "purged"), fenced: this.fencedFile, small };
    const node = startCli(["node", "--name", place.name, "--broker-sync", "always", "--trust", this.#key, "--data-dir", place.dataDir], {
      cwd: folder, nodeArgs: ["--import", pathToFileURL(this.#preload).href], mostMs: lifeMs,
      env: { ...this.#env(place.lines.map(({ port }) => `nats://127.0.0.1:${port}`)), CHAOS_PRELOAD: JSON.stringify(preload) },
    });
    void node.ended.then(({ stdout, stderr }) => writeFileSync(join(folder, `${life}.err`), stdout + stderr));
    place.node = node;
    return node;
  }

  /** Has a line for each actor that was fenced. */
  get fencedFile(): string {
    return join(this.options.folder, "fenced");
  }

  /** A command of an operator, to its end. It reaches the servers over no line that is cut. */
  async commanded(...args: readonly string[]): Promise<Commanded> {
    const { folder } = this.options;
    await using run = startCli([...args, "--json"], { cwd: folder, env: this.#env(this.servers.map(({ servers }) => servers)), mostMs: commandMs });
    const end: CliEnd | undefined = await run.ended.catch(() => undefined), said = `${run.stdout}${run.stderr}`;
    let json: Commanded["json"] = {};
    try {
      json = JSON.parse(run.stdout.trim().split("\n").at(-1) ?? "") as typeof json;
    } catch {
      // It was refused.
    }
    return { code: end?.code ?? "late", refused: /^ +code +([A-Z_]+)$/m.exec(run.stderr)?.[1], json, said };
  }

  /** Another code of the flow, in a file of its own. `raises`: the shape of its state is a newer one. */
  async nextCode(raises: boolean): Promise<string> {
    const { folder, flow } = this.options, number = this.codes.length + 1, code: ChaosCode = { number, version: (this.codes.at(-1)?.version ?? 1) + (raises ? 1 : 0) }, file = `code-${number}.ts`;
    this.codes.push(code);
    const source = fileURLToPath(new URL("chaos-flow.ts", import.meta.url));
    await writeFile(join(folder, file), `import { chaosFlow } from ${JSON.stringify(source)};\nexport default chaosFlow(${JSON.stringify({ ...flow, code })});\n`);
    return file;
  }

  async deploy(file: string, ...more: readonly string[]): Promise<Commanded> {
    return await this.commanded("deploy", file, "--key", "deploy.nk", "--timeout", "60s", ...more);
  }

  /** Lines are whole, whoever stood still goes on. */
  calm(): void {
    mended(this.places);
    for (const { node } of this.places) node?.child.kill("SIGCONT");
  }

  #env(servers: readonly string[]): Readonly<Record<string, string>> {
    const { user, pass } = this.#ground.access;
    return { MILLRACE_NATS: servers.join(","), MILLRACE_NATS_USER: user, MILLRACE_NATS_PASSWORD: pass, MILLRACE_NATS_REPLICAS: "3", COLUMNS: "160" };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { node } of this.places) await node?.[Symbol.asyncDispose]();
    await this.#broker?.close();
    await this.#ground[Symbol.asyncDispose]();
  }
}
