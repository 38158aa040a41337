// The cluster's log under losses at random: a server that goes back, streams that are deleted and purged, nodes that are cut off and come back,
// leaders that have not noticed. Once it is calm all have come to the same, and one leads.
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { lookMs } from "../../../runtime/cluster/loss-watch.ts";
import { clusterStream } from "../../../runtime/cluster/placement-log.ts";
import type { FlowSeats } from "../../../runtime/cluster/placement-record.ts";
import { ManualClock } from "../../../runtime/testing/manual-clock.ts";
import { MemoryBroker } from "../../../runtime/testing/memory-broker.ts";
import { MemoryServer } from "../../../runtime/testing/memory-server.ts";
import { SeededRandom } from "../../../runtime/testing/seeded-random.ts";
import { MemberOfTest } from "./members.ts";

const test = suite("placement log at random");
const seeds = 150, steps = 60;

const flow = (name: string): FlowSeats => ({ name, run: "r", code: "c", ended: false, stages: [] });

interface Node {
  readonly broker: MemoryBroker;
  readonly member: MemberOfTest;
}

class World {
  readonly clock = new ManualClock();
  readonly server = new MemoryServer({ clock: this.clock });
  readonly random: SeededRandom;
  readonly nodes: Node[] = [];
  readonly #names = ["a", "b", "c", "d"];
  #decisions = 0;
  #lives = 0;

  constructor(seed: number) {
    this.random = new SeededRandom(seed);
  }

  any(count: number): number {
    return Math.floor(this.random.next() * count);
  }

  async start(name: string): Promise<void> {
    const broker = new MemoryBroker(this.server), member = new MemberOfTest(name, { broker, clock: this.clock, life: String(++this.#lives) });
    this.nodes.push({ broker, member });
    const started = member.start();
    await this.clock.elapse(500);
    await started;
  }

  /** What each that can would do with a beat. */
  async lead(): Promise<void> {
    await Promise.all(this.nodes.map(async ({ broker, member: { lease, log } }) => {
      if (!broker.connected) return;
      try {
        if (!(await lease.seek())) return;
        const name = `f${++this.#decisions % 20}`;
        if (this.any(6) === 0) {
          if (await lease.refresh()) await log.purge();
        } else await log.append({ kind: "place", flow: flow(name), moves: [] }, lease.term);
      } catch {
        // Cut off in the middle.
      }
    }));
  }

  async harm(): Promise<void> {
    const stream = this.server.streams.get(clusterStream), { first, last } = stream?.bounds() ?? { first: 1, last: 0 }, node = this.nodes[this.any(this.nodes.length)] as Node;
    switch (this.any(9)) {
      case 0: return this.server.rollback(clusterStream, Math.max(first - 1, last - this.any(8)));
      case 1: return this.server.remove(clusterStream);
      case 2: return void stream?.purge(last + 1);
      case 3: return node.broker.disconnect();
      case 4: case 5: return node.broker.reconnect();
      case 6: {
        // Killed, and started again as another life; or another in its place.
        if (this.nodes.length < 2 || !this.nodes.some((other) => other !== node && other.broker.connected)) return;
        this.nodes.splice(this.nodes.indexOf(node), 1);
        await node.broker.close();
        return await this.start(this.#names[this.any(this.#names.length)] as string);
      }
      default:
    }
  }
}

test(`${seeds} histories: whatever was lost, once it is calm one leads, all have read the same, and all hear what it decides`, async () => {
  for (let seed = 1; seed <= seeds; seed++) {
    const world = new World(seed);
    for (const name of ["a", "b", "c"]) await world.start(name);
    for (let step = 0; step < steps; step++) {
      if (world.any(3) === 0) await world.harm();
      const led = world.lead();
      await world.clock.elapse(world.any(1_500));
      await world.clock.elapse(3_000);
      await led;
    }
    for (const { broker } of world.nodes) broker.reconnect();
    for (let calm = 0; calm < 12; calm++) {
      const led = world.lead();
      await world.clock.elapse(lookMs);
      await led;
    }
    await world.clock.elapse(2 * lookMs);
    const states = world.nodes.map(({ member: { log, lease } }) => ({ isLost: log.isLost, n: log.state.n, term: log.state.term, leader: log.state.leader, flows: [...log.state.flows.keys()].join(), held: lease.held })), [one] = states;
    for (const state of states) assert.equal({ ...state, held: false }, { ...one, held: false, isLost: false }, `seed ${seed}`);
    assert.is(states.filter(({ held }) => held).length, 1, `seed ${seed}: one leads`);
    // Who comes now reads the same.
    await world.start("late");
    const { member: { log } } = world.nodes.at(-1) as Node;
    assert.equal([log.state.n, log.state.term, [...log.state.flows.keys()].join()], [one?.n, one?.term, one?.flows], `seed ${seed}: who comes late`);
    for (const { member, broker } of world.nodes) {
      await member.log.stop();
      await broker.close();
    }
  }
});

test.run();
