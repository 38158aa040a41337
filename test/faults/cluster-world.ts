// A flow on several nodes, each a process of its own, over one nats-server.
import { createHash } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import * as assert from "uvu/assert";
import { connect } from "../../runtime/broker/nats-broker.ts";
import type { Broker } from "../../runtime/broker/broker.ts";
import { decodeRecord } from "../../runtime/journal/record.ts";
import { ask } from "../../runtime/node/questions.ts";
import { readRun } from "../../runtime/node/run-record.ts";
import { cli, type CliEnd, type CliProcess, startCli } from "../support/cli-process.ts";
import type { TestServer } from "../support/nats-server.ts";
import { squared } from "../support/squared.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { eventually, within } from "../support/waiting.ts";

export interface Program { readonly file: string; readonly name: string; readonly env: (out: string) => Readonly<Record<string, string>> }

/** At a rate, until the test has seen what it wanted. */
export const numbers: Program = { file: new URL("../support/flows/numbers.ts", import.meta.url).pathname, name: "numbers", env: (out) => ({ NUMBERS: "60000", NUMBERS_RATE: "6000", NUMBERS_OUT: out }) };

/** The same for long enough that a node can be started meanwhile, on a busy machine, too. */
export const long: Program = { ...numbers, env: (out) => ({ ...numbers.env(out), NUMBERS_RATE: "2000" }) };

interface Placement { readonly leader: string; readonly flows: readonly { readonly name: string; readonly actors: Readonly<Record<string, string | null>> }[] }

export class World {
  readonly broker: Broker;
  readonly folder: string;
  readonly out: string;
  readonly program: Program;
  readonly nodes = new Map<string, CliProcess>();
  readonly #server: TestServer;

  constructor(program: Program, server: TestServer, broker: Broker, folder: string) {
    this.program = program;
    this.#server = server;
    this.broker = broker;
    this.folder = folder;
    this.out = join(folder, "out.jsonl");
  }

  start(name: string, more: readonly string[] = []): CliProcess {
    const { servers, user, pass } = this.#server;
    const node = startCli(["node", "--name", name, "--nats", servers, "--broker-sync", "always", "--flow", this.program.file, "--until-ended", "--data-dir", join(this.folder, name), ...more], {
      cwd: this.folder, env: { MILLRACE_NATS_USER: user, MILLRACE_NATS_PASSWORD: pass, HURRY: join(this.folder, "hurry"), ...this.program.env(this.out) },
    });
    this.nodes.set(name, node);
    return node;
  }

  /** From now on its source does not keep to its rate. */
  async hurry(): Promise<void> {
    await writeFile(join(this.folder, "hurry"), "");
  }

  /** Begins a command of an operator. */
  command(...args: readonly string[]): CliProcess {
    const { servers, user, pass } = this.#server;
    return startCli([...args, "--nats", servers], { cwd: this.folder, env: { MILLRACE_NATS_USER: user, MILLRACE_NATS_PASSWORD: pass, COLUMNS: "160" } });
  }

  /** The same to its end. */
  async commanded(...args: readonly string[]): Promise<CliEnd> {
    await using run = this.command(...args);
    return await run.ended;
  }

  /** As a node knows it: who leads, and which node each actor of the flow is on. */
  async placement(name: string): Promise<{ readonly leader: string; readonly actors: ReadonlyMap<string, string> }> {
    const { leader, flows } = (await ask(this.broker, name, { what: "placement" }, 2_000)) as Placement;
    return { leader, actors: new Map(Object.entries(flows.find((its) => its.name === this.program.name)?.actors ?? {}).map(([actor, node]) => [actor, node ?? ""])) };
  }

  /** Of an actor's newest record: what it says of its events, and who had it written. */
  async newest(actor: string): Promise<{ readonly kind: string; readonly term: number; readonly taken: number }> {
    const [name, stage, partition] = actor.split("/") as [string, string, string], generation = (await readRun(this.broker.keys, name))?.record.stages.find((its) => its.name === stage)?.generation;
    const subject = `mr.actor.${name}.${stage}.${generation}.${partition}.log`, last = await this.broker.stream(subject.replaceAll(".", "_"), subject).last();
    const record = last === undefined ? undefined : decodeRecord(last.data);
    return { kind: record?.kind ?? "none", term: record?.term[0] ?? 0, taken: record?.body.counts?.in ?? 0 };
  }

  /** Resolves when the flow is under way on all of these nodes: each has an actor that has done a turn. */
  underWay(names: readonly string[]): Promise<ReadonlyMap<string, string>> {
    return eventually("the flow is under way on all nodes", async () => {
      const { actors } = await this.placement(names[0] as string);
      if (!names.every((name) => [...actors.values()].includes(name))) return false;
      const working = new Set<string>();
      for (const [actor, node] of actors) if ((await this.newest(actor)).kind === "turn") working.add(node);
      return names.every((name) => working.has(name)) && actors;
    }, 60_000);
  }
}

export async function inWorld(nats: () => Promise<TestServer>, program: Program, of: (world: World) => Promise<void>): Promise<void> {
  const server = await nats();
  await using folder = await temporaryFolder();
  const broker = await connect({ servers: server.servers, user: server.user, pass: server.pass }), world = new World(program, server, broker, folder.path);
  try {
    await of(world);
  } finally {
    for (const node of world.nodes.values()) await node[Symbol.asyncDispose]();
    await broker.close();
  }
}

export const hashOf = async (path: string): Promise<string> => hash(await readFile(path));
const hash = (data: string | Buffer): string => createHash("sha256").update(data).digest("hex");

const references = new Map<Program, Promise<string>>();
/** What a plain loop computes, or else what one node alone writes. */
function expected(program: Program): Promise<string> {
  if (program.name === "numbers") return Promise.resolve(hash(squared(Number(program.env("")["NUMBERS"]))));
  const known = references.get(program) ?? (async () => {
    await using folder = await temporaryFolder();
    const out = join(folder.path, "out.jsonl"), end = await cli(["run", program.file, "--fsync", "relaxed", "--data-dir", join(folder.path, "data")], { cwd: folder.path, env: { ...program.env(out), NUMBERS_RATE: "1000000" } });
    assert.is(end.code, 0, end.stderr);
    return await hashOf(out);
  })();
  references.set(program, known);
  return known;
}

export async function finished(world: World, names: readonly string[]): Promise<void> {
  await world.hurry();
  for (const name of names) {
    const end = await within(90_000, `node ${name} leaves`, (world.nodes.get(name) as CliProcess).ended);
    assert.is(end.code, 0, end.stderr);
  }
  assert.is(await hashOf(world.out), await expected(world.program));
  assert.is((await readRun(world.broker.keys, world.program.name))?.record.state, "finished");
}
