// test deadline: 120 s
// Actors that are restarted together (one_for_all, rest_for_one), over the nodes of a cluster: together are those of one node.
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { collect, generate, map } from "../../../actors/index.ts";
import { defineFlow, type Flow, type Supervision } from "../../../runtime/index.ts";
import { orderPlacement } from "../../../runtime/inspect/placement-orders.ts";
import { TwinCluster } from "../../support/twin-cluster.ts";
import { eventually } from "../../support/waiting.ts";

const test = suite("strategies over several nodes");
const names = ["n1", "n2", "n3"] as const, count = 3_000, partitions = 9;

class World extends TwinCluster {
  readonly results: number[] = [];
  readonly #sink = collect<number>(this.results);
  /** Events of which the handler throws, once each. */
  readonly bad = new Set<number>();

  flow(strategy: Supervision["strategy"] & string): Flow {
    const handle = ({ n }: { readonly n: number }): number => {
      if (this.bad.delete(n)) throw new Error(`at ${n}`);
      return n;
    };
    return defineFlow("numbers", (flow) => {
      const feed = flow.source("feed", generate({ count: 1_000_000, rate: 400, make: (n) => ({ n: n % count, key: n % 100 }) }));
      const each = flow.processor("each", feed.keyBy(({ key }) => key), { parallelism: partitions, supervision: { strategy, intensity: 1_000, backoff: { min: 1, max: 5 } } }, map(handle));
      flow.sink("out", each, this.#sink);
    });
  }

  async runs(strategy: Supervision["strategy"] & string): Promise<void> {
    await Promise.all(names.map((name) => this.start(name, [this.flow(strategy)], { nodes: 3 })));
    await this.running("numbers");
  }

  /** By actor: its life, and its node. */
  get lives(): ReadonlyMap<string, { readonly node: string; readonly life: unknown }> {
    return new Map([...this.placed("numbers")].map(([actor, node]) => [actor, { node: node as string, life: this.nodes.get(node ?? "")?.cluster.node.flows.find(({ name }) => name === "numbers")?.actors.get(actor)?.recovered }]));
  }

  /** Actors that have another life than before, and run. */
  async others(before: World["lives"]): Promise<readonly string[]> {
    await this.running("numbers");
    return [...this.lives].filter(([actor, { life }]) => before.get(actor)?.life !== life).map(([actor]) => actor).sort();
  }

  /** The next that come. */
  spoil(many: number): Promise<unknown> {
    const last = this.results.at(-1) ?? 0;
    for (let at = 1; at <= many; at++) this.bad.add((last + 40 * at) % count);
    return eventually("all were at hand", () => this.bad.size === 0, 30_000);
  }

  /** Nothing is missing, and nothing came twice: each number as often as the others, up to where it is. */
  async exact(): Promise<void> {
    const at = this.results.length;
    await eventually("it goes on", () => this.results.length > at + 200, 20_000);
    await eventually("nothing is missing", () => {
      const end = Math.min(...Array.from({ length: 100 }, (_, key) => this.results.filter((n) => n % 100 === key).length));
      return end > at / 100 && Array.from({ length: 100 }, (_, key) => this.results.filter((n) => n % 100 === key)).every((its) => its.every((n, i) => n % count === (i * 100 + (its[0] as number)) % count));
    }, 20_000);
  }
}

test("one_for_all: a crash restarts the actors of its stage on its node, and those on other nodes work on", async () => {
  await using world = new World();
  await world.runs("one_for_all");
  const before = world.lives;
  await world.spoil(1);
  await eventually("they were restarted", async () => (await world.others(before)).length > 0);
  const others = await world.others(before), nodes = new Set(others.map((actor) => before.get(actor)?.node));
  assert.is(nodes.size, 1, others.join());
  assert.equal(others, [...before].filter(([actor, { node }]) => nodes.has(node) && actor.startsWith("numbers/each/")).map(([actor]) => actor).sort());
  await world.exact();
});

for (const strategy of ["one_for_all", "rest_for_one"] as const) {
  test(`${strategy}: drain and what moves back restart nobody who stays; while actors crash all the same the node is drained, and nothing is lost or repeated`, async () => {
    await using world = new World();
    await world.runs(strategy);
    const before = world.lives;
    await orderPlacement(world.broker, { action: "cordon", node: "n2" });
    await eventually("n2 is empty", () => ![...world.placed("numbers").values()].includes("n2"), 20_000);
    assert.equal(await world.others(before), [...before].filter(([, { node }]) => node === "n2").map(([actor]) => actor).sort(), "only those that were there");
    await orderPlacement(world.broker, { action: "uncordon", node: "n2" });
    await eventually("n2 has its share", () => [...world.placed("numbers").values()].filter((node) => node === "n2").length >= 3, 20_000);
    await world.running("numbers");
    const crashes = world.spoil(20);
    await orderPlacement(world.broker, { action: "cordon", node: "n3" });
    await eventually("n3 is empty", () => ![...world.placed("numbers").values()].includes("n3"), 20_000);
    await crashes;
    await world.running("numbers");
    assert.is(world.nodes.get("n3")?.cluster.node.root.snapshot("numbers/each").children.length, 0, "its supervisor has none any more");
    await world.exact();
  });
}

test.run();
