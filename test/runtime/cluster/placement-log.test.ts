import { suite } from "uvu";
import * as assert from "uvu/assert";
import { lookMs } from "../../../runtime/cluster/loss-watch.ts";
import { clusterStream, PlacementLog } from "../../../runtime/cluster/placement-log.ts";
import { after, emptyState, type FlowSeats, type PlacementRecord } from "../../../runtime/cluster/placement-record.ts";
import { ManualClock } from "../../../runtime/testing/manual-clock.ts";
import { MemoryBroker } from "../../../runtime/testing/memory-broker.ts";
import { MemoryServer } from "../../../runtime/testing/memory-server.ts";
import { SeededRandom } from "../../../runtime/testing/seeded-random.ts";
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

test("a log that lost records and was written anew, beyond what was read, is read anew by who was away: what is there goes on", async () => {
  const world = new World(), { log: a, broker } = await world.log(1), { log: b } = await world.log(2);
  await lead(b, "b", 1);
  for (const name of ["f", "g"]) await b.append({ kind: "place", flow: flow(name), moves: [] }, 1);
  await world.clock.elapse(0);
  broker.disconnect();
  await b.stop();
  world.server.rollback(clusterStream, 1);
  const { log: c } = await world.log(3);
  for (let term = 2; term <= 6; term++) await lead(c, "c", term);
  broker.reconnect();
  await world.clock.elapse(lookMs);
  assert.equal([a.state.n, a.state.leader?.node, a.isLost, a.state.flows.size], [6, "c", false, 0]);
  assert.ok(await lead(a, "a", 7), "it can lead, too");
});

/** Two that follow the log, and what is lost of it: all that was decided is there again, though both had read beyond what is left. */
for (const [what, lose] of [
  ["was deleted", (server) => server.remove(clusterStream)],
  ["was deleted and made anew", (server) => { const spec = server.streams.get(clusterStream)?.spec; server.remove(clusterStream); if (spec !== undefined) server.create(spec); }],
  ["was purged as a whole", (server) => void server.streams.get(clusterStream)?.purge(1_000)],
  ["lost its newest records", (server) => server.rollback(clusterStream, 2)],
] as const satisfies readonly (readonly [string, (server: MemoryServer) => void])[]) {
  test(`a log that ${what} keeps all that was decided: nothing changes for who follows it, who leads writes it again with the next term, and all hear what comes then`, async () => {
    const world = new World(), { log: a } = await world.log(1), { log: b } = await world.log(2);
    await lead(a, "a", 4);
    for (const name of ["f", "g"]) await a.append({ kind: "place", flow: flow(name), moves: [] }, 4);
    await world.clock.elapse(0);
    const before = b.state;
    lose(world.server);
    await world.clock.elapse(2 * lookMs);
    assert.equal([a, b].map((log) => [log.isLost, log.state === before || log.state.n]), [[true, 3], [true, true]]);
    assert.is(await a.append({ kind: "place", flow: flow("h"), moves: [] }, 4), false, "it is computed from what is lost");
    assert.is(await lead(a, "a", 4), false, "the term is over");
    assert.ok(await lead(a, "a", 5));
    assert.ok(await a.append({ kind: "place", flow: flow("h"), moves: [] }, 5));
    await world.clock.elapse(0);
    const { log: c } = await world.log(3);
    for (const log of [a, b, c]) assert.equal([log.isLost, log.state.n, log.state.term, [...log.state.flows.keys()]], [false, 5, 5, ["f", "g", "h"]]);
  });
}

test("who has not noticed that records were lost, and whose number fits by chance, decides nothing: nobody counts it, and it reads what is there", async () => {
  const world = new World(), { log: a, broker } = await world.log(1), { log: b } = await world.log(2);
  await lead(a, "a", 1);
  for (const name of ["f", "g"]) await a.append({ kind: "place", flow: flow(name), moves: [] }, 1);
  await world.clock.elapse(0);
  broker.disconnect();
  world.server.rollback(clusterStream, 1);
  await world.clock.elapse(2 * lookMs);
  assert.ok(await lead(b, "b", 2));
  assert.ok(await b.append({ kind: "place", flow: flow("h"), moves: [] }, 2));
  assert.equal(world.server.streams.get(clusterStream)?.bounds().last, 3);
  broker.reconnect();
  await a.append({ kind: "place", flow: flow("x"), moves: [] }, 1);
  assert.equal(world.server.streams.get(clusterStream)?.bounds().last, 4, "it was written");
  await world.clock.elapse(lookMs);
  assert.is(a.state.leader?.node, "b");
  assert.ok(await b.append({ kind: "place", flow: flow("i"), moves: [] }, 2) || await b.append({ kind: "place", flow: flow("i"), moves: [] }, 2));
  await world.clock.elapse(0);
  const { log: c } = await world.log(3);
  for (const log of [a, b, c]) assert.equal([log.state.term, log.state.leader?.node, [...log.state.flows.keys()]], [2, "b", ["f", "g", "h", "i"]]);
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
