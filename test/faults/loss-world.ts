// A power loss, taken apart: one run of two flows on a real nats-server, whose store was copied while it went on, then everything killed.
// From the copies each variant is put together: a store, or some streams of it, as they were before; journals there or not.
import { spawn } from "node:child_process";
import { cp, readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { connect } from "../../runtime/broker/nats-broker.ts";
import { asError, MillraceError } from "../../runtime/event/errors.ts";
import { systemClock, systemRandom } from "../../runtime/event/clock.ts";
import { planOf, type FlowPlan } from "../../runtime/flow/plan.ts";
import { startNode } from "../../runtime/inspect/inspected-node.ts";
import { LevelStores } from "../../runtime/journal/level-store.ts";
import { RunNotes } from "../../runtime/node/run-note.ts";
import { streamsOf } from "../../runtime/node/run-streams.ts";
import { repair } from "../../runtime/repair/repair.ts";
import { repairHere } from "../../runtime/repair/repair-here.ts";
import type { RepairReport } from "../../runtime/repair/report.ts";
import { linesIn } from "../support/line-count.ts";
import { startNatsServer, type TestServer } from "../support/nats-server.ts";
import { type TemporaryFolder, temporaryFolder } from "../support/temporary-folder.ts";
import { eventually, within } from "../support/waiting.ts";
import type { LossLife } from "./loss-child.ts";
import { lossFlow, type LossName, lossResults, outputOf } from "./loss-flows.ts";
import { inSmallSteps } from "./small-steps.ts";
import { lettersOf, rowsWrong } from "./matrix-verifier.ts";
import type { Item, Row } from "./matrix-kinds.ts";

/** The broker's word about its syncs, which decides how long is retained (P32): twice that. No loss of the tests is older. */
const sync = "600ms", retainMs = 1_200;
const lifeMs = 30_000, tries = 8;

/** How a flow went on: to its end, or the code of what it is parked for. */
export type Outcome = "finished" | { readonly code: string; readonly says: string };

export interface LossWorldOptions {
  /** Rows in the sink of sums when the store is copied, and how many more before everything is killed. */
  readonly rows?: number;
  readonly more?: number;
  readonly rate?: number;
}

/** Use it with `await using`. */
export class LossWorld implements AsyncDisposable {
  readonly folder: string;
  readonly #server: TestServer;
  readonly #temporary: TemporaryFolder;

  private constructor(server: TestServer, temporary: TemporaryFolder) {
    this.#server = server;
    this.#temporary = temporary;
    this.folder = join(temporary.path, "work");
  }

  static async make({ rows = 950, more = 110, rate = 500 }: LossWorldOptions = {}): Promise<LossWorld> {
    inSmallSteps();
    const temporary = await temporaryFolder(), server = await startNatsServer({ fsync: "relaxed" }), world = new LossWorld(server, temporary);
    try {
      // On a machine that is busy more time may pass than is retained: then it is no loss of the kind that is promised to be mended.
      for (let attempt = 1; !(await world.#live(rows, more, rate)); attempt++) {
        if (attempt === tries) throw new Error(`in none of ${tries} runs there was a loss younger than ${retainMs} ms`);
      }
      return world;
    } catch (error) {
      await world[Symbol.asyncDispose]();
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server[Symbol.asyncDispose]();
    await this.#temporary[Symbol.asyncDispose]();
  }

  get #store(): string { return join(this.#server.folder, "nats", "store"); }
  #kept(name: string): string { return join(this.#temporary.path, name); }

  /** Runs both flows, copies the store on the way ("old"), kills all, keeps what is left ("store", "folder"). Whether that was quick enough, and something was lost. */
  async #live(rows: number, more: number, rate: number): Promise<boolean> {
    const { servers, user, pass } = this.#server;
    await this.#server.kill();
    for (const path of [this.#store, this.folder, ...["old", "old-journals", "store", "folder"].map((name) => this.#kept(name))]) await rm(path, { recursive: true, force: true, maxRetries: 3 });
    await this.#server.restart();
    const life: LossLife = { folder: this.folder, rate, nats: { servers, user, pass, sync } };
    const child = spawn(process.execPath, ["--conditions=source", "--import", "tsx", fileURLToPath(new URL("loss-child.ts", import.meta.url)), JSON.stringify(life)], { stdio: ["ignore", "ignore", "pipe"] });
    const gone = new Promise<void>((done) => child.once("close", () => done()));
    let said = "";
    child.stderr.on("data", (chunk: Buffer) => { said += chunk.toString(); });
    const counts = async (): Promise<readonly [sums: number, windows: number]> => [await linesIn(outputOf(this.folder, "sums")), await linesIn(outputOf(this.folder, "windows"))];
    /** Whether it came to that before its end. */
    const written = (sums: number, windows: number): Promise<boolean> => eventually(`the sinks have ${sums} and ${windows} rows: ${said}`, async () => {
      const [a, b] = await counts();
      return a >= sums && b >= windows ? "yes" : child.exitCode !== null ? "no" : undefined;
    }, lifeMs).then((is) => is === "yes");
    try {
      if (!(await written(rows, 1))) return false;
      const begun = performance.now();
      await this.#server.pause();
      child.kill("SIGSTOP");
      await cp(this.#store, this.#kept("old"), { recursive: true });
      await cp(join(this.folder, "data", "journals"), this.#kept("old-journals"), { recursive: true });
      const [sums, windows] = await counts();
      child.kill("SIGCONT");
      this.#server.resume();
      const isLoss = await written(sums + more, windows + 1);
      child.kill("SIGKILL");
      const took = performance.now() - begun;
      await gone;
      await this.#server.kill();
      await cp(this.#store, this.#kept("store"), { recursive: true });
      await cp(this.folder, this.#kept("folder"), { recursive: true, verbatimSymlinks: true });
      return isLoss && took < retainMs;
    } finally {
      child.kill("SIGKILL");
      await gone;
    }
  }

  /** Names of the streams, as they were when the power went. */
  async streams(): Promise<readonly string[]> {
    return (await readdir(await streamsIn(this.#kept("store")))).sort();
  }

  /** Journals of a flow's actors, as folders under the data folder's `journals`. */
  async journals(flow: LossName): Promise<readonly string[]> {
    const root = join(this.#kept("folder"), "data", "journals", flow), found: string[] = [];
    for (const stage of await readdir(root)) for (const generation of await readdir(join(root, stage))) for (const partition of await readdir(join(root, stage, generation))) found.push(`${flow}/${stage}/${generation}/${partition}`);
    return found.sort();
  }

  /** Everything as it was when the power went; but those streams as they were at the copy (default: the whole store). */
  async lose(streams: (name: string) => boolean = () => true, whole = false): Promise<void> {
    await this.#server.kill();
    for (const path of [this.#store, this.folder]) await rm(path, { recursive: true, force: true, maxRetries: 3 });
    await cp(this.#kept(whole ? "old" : "store"), this.#store, { recursive: true });
    await cp(this.#kept("folder"), this.folder, { recursive: true, verbatimSymlinks: true });
    if (!whole) {
      const now = await streamsIn(this.#store), old = await streamsIn(this.#kept("old")), had = await readdir(old);
      for (const name of (await readdir(now)).filter(streams)) {
        await rm(join(now, name), { recursive: true, force: true });
        if (had.includes(name)) await cp(join(old, name), join(now, name), { recursive: true });
      }
    }
    await this.#server.restart();
  }

  /** Streams that are gone altogether. */
  async drop(streams: (name: string) => boolean): Promise<void> {
    const broker = await connect(this.nats);
    try {
      for (const name of (await broker.list("mr_")).filter(streams)) await broker.remove(name);
    } finally {
      await broker.close();
    }
  }

  /** What happens while a journal is away; then it is back as it was. */
  async withoutJournal<T>(name: string, body: () => Promise<T>): Promise<T> {
    const path = this.journal(name), aside = `${this.#kept("aside")}`;
    await cp(path, aside, { recursive: true });
    await rm(path, { recursive: true });
    try {
      return await body();
    } finally {
      await rm(path, { recursive: true, force: true });
      await cp(aside, path, { recursive: true });
      await rm(aside, { recursive: true });
    }
  }

  journal(name: string): string {
    return join(this.folder, "data", "journals", name);
  }

  /** A journal as it was at the copy. */
  oldJournal(name: string): string {
    return join(this.#kept("old-journals"), name);
  }

  /** How the command line gets to the server. */
  get nats(): { readonly servers: string; readonly user: string; readonly pass: string } {
    const { servers, user, pass } = this.#server;
    return { servers, user, pass };
  }

  /** A repair that ends after so many steps, as a kill ends it. */
  async repairUntil(name: LossName, steps: number): Promise<"whole" | "killed"> {
    const broker = await connect(this.nats), plan = planOf(lossFlow(name, { folder: this.folder })) as FlowPlan, own = new LevelStores(join(this.folder, "data", "node")), notes = new RunNotes(own);
    let left = steps;
    try {
      await repair(name, {
        broker, notes, clock: systemClock, random: systemRandom, journals: [{ node: "here", stores: new LevelStores(join(this.folder, "data", "journals")) }],
        specs: (record) => streamsOf(plan, record, { replicas: 1, retainMs }), step() { if (--left === 0) throw new Error("killed here"); },
      });
      return "whole";
    } catch (error) {
      if (asError(error).message !== "killed here") throw error;
      return "killed";
    } finally {
      await notes.close();
      await broker.close();
    }
  }

  /** Lets a flow run to its end, or until it is parked. */
  run(name: LossName): Promise<Outcome> {
    return this.runAll([name]);
  }

  /** The same of several on one node; the first that is parked ends all. */
  async runAll(names: readonly LossName[]): Promise<Outcome> {
    const { servers, user, pass } = this.#server;
    try {
      const node = await startNode({ dataDir: join(this.folder, "data"), nats: { servers, user, pass, sync }, flows: names.map((name) => lossFlow(name, { folder: this.folder })) });
      try {
        await within(lifeMs, `${names.join(" and ")} ${names.length > 1 ? "end or are" : "ends or is"} parked`, node.done);
        return "finished";
      } finally {
        await node.stop();
      }
    } catch (thrown) {
      const error = asError(thrown);
      if (!(error instanceof MillraceError)) throw error;
      return { code: error.code === "PARKED" ? (/\(([A-Z]+_[A-Z_]+)\)/.exec(error.message)?.[1] ?? error.code) : error.code, says: error.message };
    }
  }

  repair(name: LossName, dryRun = false): Promise<RepairReport> {
    const { servers, user, pass } = this.#server;
    return repairHere(planOf(lossFlow(name, { folder: this.folder })) as FlowPlan, { dataDir: join(this.folder, "data"), nats: { servers, user, pass, sync: sync as "600ms" }, dryRun });
  }

  async #rows(name: LossName): Promise<readonly Row[]> {
    const text = await readFile(outputOf(this.folder, name), "utf8").catch(() => "");
    return text.slice(0, text.lastIndexOf("\n") + 1).split("\n").filter((line) => line !== "").map((line) => JSON.parse(line) as Row);
  }

  /** Numbers of the events that are dead letters. */
  async letters(name: LossName): Promise<readonly number[]> {
    const { servers, user, pass } = this.#server, broker = await connect({ servers, user, pass });
    try {
      return (await lettersOf(broker, name)).map(({ event }) => (event.data as Item).n).sort((a, b) => a - b);
    } finally {
      await broker.close();
    }
  }

  /** What is wrong with the results of a flow that has ended. */
  async wrongs(name: LossName): Promise<readonly string[]> {
    const { letters = [], ...expected } = lossResults[name], found = await this.letters(name);
    return [...rowsWrong(await this.#rows(name), expected), ...(JSON.stringify(found) === JSON.stringify(letters) ? [] : [`dead letters are of ${found.join(", ")}, not of ${letters.join(", ")}`])];
  }

  /** What is wrong with the results of a flow that is parked: nothing may be there twice, or otherwise. What is missing is another matter. */
  async wrongsSoFar(name: LossName): Promise<readonly string[]> {
    const rows = await this.#rows(name);
    return rowsWrong(rows, { rows: lossResults[name].rows }).filter((wrong) => !wrong.includes("missing"));
  }
}

/** `jetstream/<account>/streams`. */
async function streamsIn(store: string): Promise<string> {
  const accounts = await readdir(join(store, "jetstream")), account = accounts.find((name) => name !== "_meta_") as string;
  return join(store, "jetstream", account, "streams");
}
