// A flow on broker and disk in memory, to take things from it and to repair it: numbers by key, summed up, into a file.
import { join } from "node:path";
import { jsonl } from "../../../actors/index.ts";
import { systemClock, systemRandom } from "../../../runtime/event/clock.ts";
import { defineFlow, type Flow } from "../../../runtime/index.ts";
import { planOf, type FlowPlan } from "../../../runtime/flow/plan.ts";
import { decodeRecord } from "../../../runtime/journal/record.ts";
import type { RunRecord } from "../../../runtime/node/run-record.ts";
import type { RunningNode } from "../../../runtime/node/node.ts";
import { RunNotes } from "../../../runtime/node/run-note.ts";
import { streamsOf } from "../../../runtime/node/run-streams.ts";
import { repair } from "../../../runtime/repair/repair.ts";
import type { RepairReport } from "../../../runtime/repair/report.ts";
import { MemoryBroker } from "../../../runtime/testing/memory-broker.ts";
import { MemoryDisk, MemoryStores } from "../../../runtime/testing/memory-store.ts";
import type { SeededRandom } from "../../../runtime/testing/seeded-random.ts";
import { assertSums, Inlet, itemsTo, linesOf, runOn, summing } from "../../support/summed.ts";
import { TwinWorld } from "../../support/twin-node.ts";
import { eventually, within } from "../../support/waiting.ts";

const retainMs = 600_000;

export const count = 160, items = itemsTo(count);

export class LossCase implements AsyncDisposable {
  readonly world: TwinWorld;
  readonly inlet = new Inlet(items);
  readonly flow: Flow;

  private constructor(world: TwinWorld) {
    this.world = world;
    this.flow = defineFlow("sums", (flow) => {
      const feed = flow.source("feed", this.inlet.source), work = flow.processor("work", feed.keyBy(({ key }) => key), { parallelism: 2 }, summing());
      flow.sink("out", work, {}, jsonl.sink(this.output));
    });
  }

  static async make(): Promise<LossCase> {
    return new LossCase(await TwinWorld.make());
  }

  get output(): string { return join(this.world.folder.path, "out.jsonl"); }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.world[Symbol.asyncDispose]();
  }

  /** Runs up to an event; then everything is killed, or, where it comes to that, ends. The code of what it is parked for. */
  async run(until: number, scale?: { readonly to: number; readonly kill: (log: string, kind: string) => boolean }): Promise<string> {
    this.inlet.until = until;
    const { world } = this, broker = new MemoryBroker(world.server), journals = new MemoryStores(world.journals), own = new MemoryStores(world.own);
    try {
      await using its = await world.start([this.flow], {}, { parts: () => Promise.resolve({
        access: { broker, embedded: true, address: "memory", retainMs, close: () => broker.close() }, journals, own, removeOldJournals: () => Promise.resolve(), close: () => broker.close(),
      }) });
      if (until >= count) {
        await within(20_000, "it ends or is parked", its.node.done);
        return "finished";
      }
      await eventually(`${until} events are through`, async () => (await this.lines()).length >= until - 8);
      const kill = (): void => {
        journals.kill();
        own.kill();
        broker.disconnect();
        its.node.root.kill();
      };
      if (scale === undefined) kill();
      else await this.#scaled(its.node, scale.to, scale.kill, kill);
      return "killed";
    } catch (error) {
      return /\((BROKER_WENT_BACK|HISTORY_FORKED)\b/.exec((error as Error).message)?.[1] ?? (error as Error).message;
    }
  }

  /** `disks`: of the journals of nodes; default the one that it runs on. `away`: nodes that are not asked. */
  async repair(dryRun = false, disks: Readonly<Record<string, MemoryDisk>> = { here: this.world.journals }, away: readonly string[] = []): Promise<RepairReport> {
    const { world } = this, broker = new MemoryBroker(world.server), notes = new RunNotes(new MemoryStores(world.own)), plan = planOf(this.flow) as FlowPlan;
    try {
      return await repair("sums", { broker, notes, clock: systemClock, random: systemRandom, dryRun, away, journals: Object.entries(disks).map(([node, disk]) => ({ node, stores: new MemoryStores(disk) })), specs: (record) => streamsOf(plan, record, { replicas: 1, retainMs }) });
    } finally {
      await notes.close();
      await broker.close();
    }
  }

  /** Takes the disk away from the node, which goes on with an empty one: as another node does that takes its actors over. */
  moved(): MemoryDisk {
    const disk = new MemoryDisk();
    disk.restore(this.world.journals.snapshot());
    this.world.journals.stores.clear();
    return disk;
  }

  /** Loses tails of streams, drawn at random, of which `may` says that they may be lost; says which. */
  lose(random: SeededRandom, may: (name: string) => boolean = () => true): readonly string[] {
    const share = random.next(), lost: string[] = [];
    for (const [name, stream] of this.world.server.streams) {
      if (name === "KV_millrace" || random.next() > share || !may(name)) continue;
      const { first, last } = stream.bounds(), to = Math.max(0, last - Math.floor(random.next() * (last - first + 2)));
      this.world.server.rollback(name, to);
      lost.push(`${name} ${last} -> ${to}`);
    }
    return lost;
  }

  /** Lets a stage be scaled while more comes in, until a record is accepted that is the one to die with. */
  async #scaled(node: RunningNode, to: number, isLast: (log: string, kind: string) => boolean, kill: () => void): Promise<void> {
    const { server } = this.world, create = server.create.bind(server);
    let died = false;
    const watch = (name: string): void => {
      const stream = server.streams.get(name), append = stream?.append.bind(stream);
      if (stream === undefined || append === undefined || !name.endsWith("_log")) return;
      stream.append = (subject, data, expected) => {
        const outcome = append(subject, data, expected);
        if (!died && typeof outcome === "number" && isLast(name, decodeRecord(data).kind)) {
          died = true;
          kill();
        }
        return outcome;
      };
    };
    server.create = (spec) => {
      const isNew = !server.streams.has(spec.name), outcome = create(spec);
      if (isNew) watch(spec.name);
      return outcome;
    };
    for (const name of server.streams.keys()) watch(name);
    this.inlet.until = 150;
    void node.scalings.get("sums")?.begin("work", to).catch(() => {});
    await eventually("it is killed", () => died);
    server.create = create;
  }

  record(): Promise<RunRecord | undefined> {
    return runOn(this.world.server, "sums");
  }

  lines(): Promise<readonly string[]> {
    return linesOf(this.output);
  }

  async assertExact(why: string): Promise<void> {
    await assertSums(this.output, items, why);
  }
}
