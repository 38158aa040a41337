// Journals that actors have left on a node: which of them go, and when (P24, P31, P32).
import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { ClusterState, SeatState } from "../../../runtime/cluster/placement-record.ts";
import { emptyState } from "../../../runtime/cluster/placement-record.ts";
import type { Term } from "../../../runtime/event/term.ts";
import { anywhere } from "../../../runtime/flow/plan.ts";
import { Journal } from "../../../runtime/journal/journal.ts";
import { encodeRecord, type CommitRecord } from "../../../runtime/journal/record.ts";
import { LeftJournals } from "../../../runtime/node/left-journals.ts";
import type { RunNote } from "../../../runtime/node/run-note.ts";
import { type RunRecord, writeRun } from "../../../runtime/node/run-record.ts";
import { ManualClock } from "../../../runtime/testing/manual-clock.ts";
import { MemoryBroker } from "../../../runtime/testing/memory-broker.ts";
import { MemoryServer } from "../../../runtime/testing/memory-server.ts";
import { MemoryDisk, MemoryStores } from "../../../runtime/testing/memory-store.ts";

const test = suite("journals that actors left");
const generation = "token000-2", name = `f/s/${generation}/0`, stream = `mr_actor_f_s_${generation}_0_log`, subject = `mr.actor.f.s.${generation}.0.log`, minute = 60_000;
const term = (counter: number): Term => [counter, new Uint8Array(8).fill(counter)];

class Case {
  readonly clock = new ManualClock();
  readonly server = new MemoryServer({ clock: this.clock });
  readonly broker = new MemoryBroker(this.server);
  readonly disk = new MemoryDisk();
  readonly stores = new MemoryStores(this.disk);
  readonly warnings: string[] = [];
  readonly here = new Set<string>();
  seat: SeatState = { node: "n2", since: 1, from: "n1", standby: [] };
  isHeld = false;
  /** What the node has noted of the flow's run, where it has. */
  noted: { readonly token: string; readonly startedAt: number } | undefined;
  retainMs = 0;
  #records: Uint8Array[] = [];

  /** An actor of n1 took the log over and worked; its journal has all of it. */
  static async make(more: Partial<RunRecord> = {}): Promise<Case> {
    const its = new Case(), { server, stores, broker } = its;
    server.create({ name: stream, subject, replicas: 1 });
    its.write("claim", 1);
    its.write("turn", 1);
    its.write("turn", 1);
    const store = await stores.open(name);
    await new Journal(store, name).write(its.#records.map((bytes, at) => ({ n: at + 1, seq: at + 1, bytes })));
    await store.close();
    const record: RunRecord = { token: "token000", state: "running", code: "c", node: "n2", startedAt: 0, inputs: [], shape: { stages: [] }, stages: [{ name: "s", generation, parallelism: 2 }], ...more };
    await writeRun(broker.keys, "f", record, 0);
    return its;
  }

  write(kind: CommitRecord["kind"], counter: number): void {
    const n = this.#records.length + 1, bytes = encodeRecord({ kind, n, term: term(counter), previous: n - 1, code: "c", body: kind === "claim" ? { node: "n", k: 0 } : {} });
    this.#records.push(bytes);
    this.server.streams.get(stream)?.append(subject, bytes, n - 1);
  }

  get #note(): RunNote | undefined {
    return this.noted && { token: this.noted.token, state: "running", revision: 9, record: { ...this.noted, state: "running", code: "c", node: "n1", inputs: [], shape: { stages: [] }, stages: [] } };
  }

  get left(): LeftJournals {
    const { broker, stores, clock, retainMs } = this, log = { debug() {}, info() {}, error() {}, warn: (line: string) => void this.warnings.push(line) };
    return new LeftJournals({
      node: "n1", notes: { read: () => Promise.resolve(this.#note) }, broker, stores, clock, log, retainMs, journalsOf: (flow) => Promise.resolve([...this.disk.stores.keys()].filter((its) => its.startsWith(`${flow}/`))), isHere: (actor) => this.here.has(actor), isHeld: () => this.isHeld,
      placed: (): ClusterState => ({ ...emptyState, flows: new Map([["f", { name: "f", run: "token000", code: "c", ended: false, stages: [{ name: "s", place: anywhere, seats: [this.seat, this.seat] }] }]]) }), aside: (_, work) => work(),
    });
  }

  /** Whether it is gone after so long. */
  async goes(ms: number, left = this.left): Promise<boolean> {
    await left.look();
    for (let passed = 0; passed < ms; passed += minute) {
      this.clock.advance(minute);
      await left.look();
    }
    return !(await this.stores.exists(name));
  }
}

test("it goes when another owner has committed more than its claim, and not before that has been so for ten minutes, or for as long as a loss may reach back", async () => {
  for (const [retainMs, most] of [[0, 10], [1_200_000, 20]] as const) {
    const its = await Case.make();
    its.retainMs = retainMs;
    its.write("claim", 2);
    its.write("turn", 2);
    const { left } = its;
    assert.is(await its.goes((most - 1) * minute, left), false);
    assert.is(await its.goes(minute, left), true);
    assert.equal(its.warnings, []);
  }
});

test("it goes, too, where the log was purged behind it: a newer snapshot holds what it does", async () => {
  const its = await Case.make();
  its.write("claim", 2);
  its.write("turn", 2);
  its.server.streams.get(stream)?.purge(5);
  assert.ok(await its.goes(10 * minute));
});

test("it stays while nobody has gone past it, or only by a claim: who claimed may have nothing of it yet", async () => {
  const its = await Case.make();
  assert.is(await its.goes(30 * minute), false);
  its.write("claim", 2);
  assert.is(await its.goes(30 * minute), false);
});

test("it stays, and that is said once, where the log does not hold what it does: that proves a loss", async () => {
  for (const how of ["ends before", "has another record"]) {
    const its = await Case.make(), { left } = its;
    its.server.rollback(stream, 2);
    if (how === "has another record") for (const [at, kind] of ["claim", "turn"].entries()) its.server.streams.get(stream)?.append(subject, encodeRecord({ kind: kind as "claim", n: 3 + at, term: term(2), previous: 2 + at, code: "c", body: {} }), 2 + at);
    assert.is(await its.goes(60 * minute, left), false, how);
    assert.equal(its.warnings.map((line) => /may prove a loss/.test(line)), [true], how);
  }
});

test("it stays where the actor is placed here, is kept warm here, is not all gone from here, while its stage is scaled and while its flow is repaired", async () => {
  const uses: Record<string, (its: Case) => void> = {
    placed: (its) => { its.seat = { ...its.seat, node: "n1" }; }, warm: (its) => { its.seat = { ...its.seat, standby: ["n1"] }; }, here: (its) => void its.here.add("f/s/0"), repaired: (its) => { its.isHeld = true; },
  };
  for (const [why, use] of Object.entries(uses)) {
    const its = await Case.make();
    its.write("claim", 2);
    its.write("turn", 2);
    use(its);
    assert.is(await its.goes(30 * minute), false, why);
  }
  const scaled = await Case.make({ change: { stage: "s", generation: "token000-3", parallelism: 3, takenBack: false } });
  scaled.write("claim", 2);
  scaled.write("turn", 2);
  assert.is(await scaled.goes(30 * minute), false);
});

test("that of a generation or a run that is over goes, whatever became of its log; that of one that is not known of is left alone", async () => {
  const its = await Case.make({ stages: [{ name: "s", generation: "token000-4", parallelism: 2 }] });
  its.server.remove(stream);
  for (const other of ["f/s/token000-9/0", "f/s/other000-1/0"]) await (await its.stores.open(other)).close();
  its.seat = { ...its.seat, node: "n1" };
  assert.ok(await its.goes(10 * minute), "also where the actor is here, as one of the next");
  assert.equal([...its.disk.stores.keys()], ["f/s/token000-9/0"]);
});

test("where the key went back behind what this node has noted, nothing goes: what is here may be all that tells of it", async () => {
  const its = await Case.make(), newer = "f/s/newer000-1/0";
  its.write("claim", 2);
  its.write("turn", 2);
  await (await its.stores.open(newer)).close();
  its.noted = { token: "newer000", startedAt: 1 };
  assert.is(await its.goes(30 * minute), false);
  assert.ok(await its.stores.exists(newer));
  its.noted = { token: "older000", startedAt: -1 };
  assert.ok(await its.goes(10 * minute));
});

test.run();
