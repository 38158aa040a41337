// What is told of a stage in figures.
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { collect, generate, stateful } from "../../../actors/index.ts";
import { jsonLine } from "../../../runtime/cli/run-report.ts";
import { defineFlow, type Emits } from "../../../runtime/index.ts";
import { stageFigures, treeOfFlow } from "../../../runtime/inspect/figures.ts";
import { Lags } from "../../../runtime/inspect/lag.ts";
import type { HostedFlow } from "../../../runtime/node/hosted-flow.ts";
import { TwinWorld } from "../../support/twin-node.ts";
import { within } from "../../support/waiting.ts";

const test = suite("figures");

test("timers that are set and did not fire when the flow has ended are counted", async () => {
  await using twin = await TwinWorld.make();
  const flow = defineFlow("timed", (its) => {
    const feed = its.source("feed", generate({ count: 12, make: (n) => ({ n }) }));
    its.sink("out", its.processor("each", feed.keyBy(({ n }) => n % 3), { parallelism: 2 }, stateful({
      initial: () => 0,
      on: (count: number, { n }: { n: number }, ctx: Emits<number>) => { ctx.timer(`t${n % 2}`, "1h", { clock: "wall" }); return count + 1; },
      onTimer: (count: number) => count,
    })), collect<number>([]));
  });
  await using it = await twin.start([flow]);
  await within(10_000, "the end", it.node.done);
  const [hosted] = it.node.flows as [HostedFlow], figures = stageFigures(hosted, treeOfFlow(it.node.tree(), "timed") as NonNullable<ReturnType<typeof treeOfFlow>>, new Lags());
  assert.equal(figures.map(({ name, timers }) => [name, timers]), [["feed", 0], ["each", 6], ["out", 0]]);
  const { stages } = JSON.parse(jsonLine({ flow: "timed", status: "finished", durationMs: 1, stages: figures.map((row) => ({ ...row, rate: 0 })) })) as { stages: Record<string, { timers?: number }> };
  assert.equal([stages["each"]?.timers, stages["feed"]?.timers], [6, undefined]);
});

test.run();
