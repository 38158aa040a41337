// A cluster that has as many actors as its log has room for: what is more is refused before anything of it is made, and what runs goes on.
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { collect, generate, map } from "../../../actors/index.ts";
import { unplaced } from "../../../runtime/cluster/placement-record.ts";
import { mostPlaced } from "../../../runtime/cluster/placement-room.ts";
import { defineFlow, type Flow } from "../../../runtime/index.ts";
import { rejection } from "../../support/rejection.ts";
import { TwinCluster } from "../../support/twin-cluster.ts";
import { eventually, within } from "../../support/waiting.ts";

const test = suite("a full cluster");

function flowNamed(name: string, results: number[]): Flow {
  return defineFlow(name, (flow) => {
    const feed = flow.source("feed", generate({ count: 100_000, rate: 200, make: (n) => ({ n }) }));
    flow.sink("out", flow.processor("each", feed.keyBy(({ n }) => n % 50), { parallelism: 2 }, map(({ n }: { readonly n: number }) => n)), collect<number>(results));
  });
}

test("a flow that is begun and a stage that is scaled are refused with PLACEMENT_FULL; fewer actors can be had, and what runs goes on, whoever leads", async () => {
  await using world = new TwinCluster();
  const results: number[] = [], n1 = await world.start("n1", [flowNamed("small", results)]);
  await world.running("small");
  // Of a run whose code nobody has: it waits for a node.
  const { maxPayload } = world.broker, stages = Array.from({ length: 2 }, (_, s) => ({ name: `s${s}`, place: { labels: [], spread: false, standby: 0 as const }, seats: Array.from({ length: Math.floor((mostPlaced(maxPayload) - 5) / 2) }, () => unplaced) }));
  assert.ok(await eventually("it is on record", () => n1.placements.append({ kind: "place", flow: { name: "large", run: "r", code: "c", ended: false, stages }, moves: [] }, n1.lease.term)));
  const scaling = await eventually("it can be scaled", () => n1.node.scalings.get("small"));
  const refused = await rejection(scaling.begin("each", 16));
  assert.equal([refused.code, refused.where], ["PLACEMENT_FULL", "small"]);
  await scaling.begin("each", 1);
  await eventually("it was scaled", () => n1.placements.state.flows.get("small")?.stages.find(({ name }) => name === "each")?.seats.length === 1, 20_000);
  const n2 = await world.start("n2", [flowNamed("small", results), flowNamed("late", [])]);
  await world.running("small");
  await world.stop("n1");
  assert.is((await rejection(within(20_000, "n2 leads", n2.done))).code, "PLACEMENT_FULL");
  assert.equal([...world.server.streams.keys()].filter((name) => name.startsWith("mr_actor_late_")), []);
  await world.running("small");
  const before = results.length;
  await eventually("it goes on", () => results.length > before + 50, 20_000);
});

test.run();
