import { suite } from "uvu";
import * as assert from "uvu/assert";
import { PlacementLog } from "../../../runtime/cluster/placement-log.ts";
import { after, emptyState, type FlowSeats, type PlacementRecord } from "../../../runtime/cluster/placement-record.ts";
import { ManualClock } from "../../../runtime/testing/manual-clock.ts";
import { MemoryBroker } from "../../../runtime/testing/memory-broker.ts";
import { MemoryServer } from "../../../runtime/testing/memory-server.ts";
import { SeededRandom } from "../../../runtime/testing/seeded-random.ts";
import { rejection } from "../../support/rejection.ts";
import { silent } from "./members.ts";

const test = suite("placement log");

class World {
  readonly clock = new ManualClock();
  readonly server = new MemoryServer({ clock: this.clock });

  async log(seed: number): Promise<{ readonly log: PlacementLog; readonly broker: MemoryBroker }> {
    const broker = new MemoryBroker(this.server), log = new PlacementLog({ broker, clock: this.clock, random: new SeededRandom(seed), log: silent, replicas: 1, onRecord: () => {} });
    await log.start();
    return { log, broker };
  }
}

const flow = (name: string): FlowSeats => ({ name, run: "r", code: "c", ended: false, stages: [] });
const lead = (log: PlacementLog, node: string, term: number): Promise<boolean> => log.append({ kind: "lead", node, life: "1", flows: [...log.state.flows.values()] }, term);

test("who was away for so long that what it would read next is purged goes on from the newest lead, which holds all that was decided", async () => {
  const world = new World(), { log: a, broker } = await world.log(1), { log: b } = await world.log(2);
  await lead(b, "b", 1);
  await world.clock.elapse(0);
  broker.disconnect();
  for (const name of ["f", "g", "h"]) {
    await b.append({ kind: "place", flow: flow(name), moves: [] }, 1);
    await lead(b, "b", 1);
  }
  await b.purge();
  broker.reconnect();
  await world.clock.elapse(0);
  assert.equal([a.state.n, [...a.state.flows.keys()]], [b.state.n, ["f", "g", "h"]]);
  assert.ok(await lead(a, "a", 2), "it can lead, too");
});

test("the same for who finds out when it writes: nothing is written that was computed from an older state", async () => {
  const world = new World(), { log: a, broker } = await world.log(1), { log: b } = await world.log(2);
  await lead(a, "a", 1);
  await world.clock.elapse(0);
  broker.disconnect();
  for (let term = 2; term <= 5; term++) await lead(b, "b", term);
  await b.purge();
  broker.reconnect();
  assert.is(await a.append({ kind: "place", flow: flow("f"), moves: [] }, 1), false);
  assert.equal([a.state.term, a.state.leader?.node, a.state.flows.size], [5, "b", 0]);
});

test("a log that lost records and was written anew is noticed, be they leads or not", async () => {
  const world = new World(), { log: a, broker } = await world.log(1), { log: b } = await world.log(2);
  await lead(b, "b", 1);
  for (const name of ["f", "g"]) await b.append({ kind: "place", flow: flow(name), moves: [] }, 1);
  await world.clock.elapse(0);
  broker.disconnect();
  world.server.rollback("mr_cluster", 1);
  const { log: c } = await world.log(3);
  for (let term = 2; term <= 6; term++) await lead(c, "c", term);
  broker.reconnect();
  await world.clock.elapse(0);
  assert.is((await rejection(lead(a, "a", 9))).code, "BROKER_WENT_BACK");
});

test("what a record asks for may fail here: the log is read on all the same, and who wrote it is not told that it was not written", async () => {
  const clock = new ManualClock(), server = new MemoryServer({ clock }), broker = new MemoryBroker(server), seen: number[] = [], told: string[] = [];
  const log = new PlacementLog({ broker, clock, random: new SeededRandom(1), log: { ...silent, error: (line: string) => void told.push(line) }, replicas: 1, onRecord: ({ n }) => { seen.push(n); if (n === 1) throw new Error("no such code"); } });
  await log.start();
  assert.ok(await lead(log, "a", 1));
  assert.ok(await lead(log, "a", 1));
  assert.equal([seen, log.state.n, told.length], [[1, 2], 2, 1]);
});

test("that a start of a node takes actors again says nothing of another start of it", () => {
  const head = { term: 1, mark: "m", before: "", at: 0, kind: "cordon", node: "n" } as const, records: PlacementRecord[] = [{ ...head, n: 1, life: "2", on: true }, { ...head, n: 2, life: "1", on: false }];
  assert.equal(records.reduce(after, emptyState).cordons, [{ node: "n", life: "2", since: 1 }]);
  assert.equal(after(records.reduce(after, emptyState), { ...head, n: 3, life: "2", on: false }).cordons, []);
});

test.run();
