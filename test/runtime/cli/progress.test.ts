// What is shown while a flow runs, on a terminal and elsewhere, of a node on twins.
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { collect, generate, map } from "../../../actors/index.ts";
import { Progress } from "../../../runtime/cli/progress.ts";
import { defineFlow } from "../../../runtime/index.ts";
import type { HostedFlow } from "../../../runtime/node/hosted-flow.ts";
import { gate } from "../../support/gate.ts";
import { record } from "../../support/recording-stream.ts";
import { TwinWorld } from "../../support/twin-node.ts";
import { eventually, within } from "../../support/waiting.ts";

const test = suite("progress");

interface Item { readonly n: number }

function held(stages = 1) {
  const opened = gate();
  return {
    opened,
    flow: defineFlow("slow", (builder) => {
      let last = builder.processor("each", builder.source("feed", generate<Item>({ count: 100, batch: 1, make: (n) => ({ n }) })), map(async (item: Item) => { await opened.opened; return item; }));
      for (let n = 1; n < stages; n++) last = builder.processor(`more-${n}`, last, map((item: Item) => item));
      builder.sink("out", last, collect<Item>([]));
    }),
  };
}

test("on a terminal a block is drawn anew: stages with figures, rate and state", async () => {
  await using world = await TwinWorld.make();
  const { flow, opened } = held(), screen = record({ isTTY: true });
  await using it = await world.start([flow]);
  const progress = new Progress(it.node, it.node.flows[0] as HostedFlow, screen.terminal, true);
  progress.start();
  await eventually("it is drawn while it runs", () => /stage +in +out +rate +waiting[\s\S]*feed +100 +100[\s\S]*each +0 +0[\s\S]*running/.test(screen.text));
  progress.say("a warning");
  assert.match(screen.text, /a warning\n/);
  progress.draining();
  opened.open();
  await within(10_000, "the end", it.node.done);
  progress.stop();
  assert.equal(progress.summary(1_000).map((row) => [row.name, row.in, row.rate, row.state]), [["feed", 100, 100, "ended"], ["each", 100, 100, "ended"], ["out", 100, 100, "ended"]]);
});

test("of a run that goes on the summary's rate is that of what was taken since", async () => {
  await using world = await TwinWorld.make();
  const { flow, opened } = held();
  {
    await using first = await world.start([flow]);
    const before = new Progress(first.node, first.node.flows[0] as HostedFlow, record().terminal, true);
    await eventually("the source has ended", () => before.summary(1_000)[0]?.state === "ended");
    await first.kill();
  }
  await using it = await world.start([flow]);
  const progress = new Progress(it.node, it.node.flows[0] as HostedFlow, record({ isTTY: true }).terminal, true);
  progress.start();
  await eventually("the handler is at work", () => it.node.flows[0]?.actors.get("slow/each/0")?.recovered?.behaviour.busy === true);
  await eventually("it was looked at", () => progress.summary(1_000).every(({ state }) => state === "running" || state === "ended"));
  opened.open();
  await within(10_000, "the end", it.node.done);
  progress.stop();
  const [feed, each] = progress.summary(1_000);
  assert.equal([feed?.in, feed?.rate, each?.in], [100, 0, 100]);
});

test("a flow of more stages than there are lines is cut, and says so", async () => {
  await using world = await TwinWorld.make();
  const { flow, opened } = held(12), screen = record({ isTTY: true, rows: 12, columns: 40 });
  await using it = await world.start([flow]);
  const progress = new Progress(it.node, it.node.flows[0] as HostedFlow, screen.terminal, true);
  progress.start();
  await eventually("it is drawn", () => /… and 8 more stages/.test(screen.text));
  progress.stop();
  opened.open();
  await within(10_000, "the end", it.node.done);
});

test("elsewhere nothing moves the cursor: lines only", async () => {
  await using world = await TwinWorld.make();
  const { flow, opened } = held(), pipe = record();
  await using it = await world.start([flow]);
  const progress = new Progress(it.node, it.node.flows[0] as HostedFlow, pipe.terminal, true);
  progress.start();
  progress.say("a line");
  await eventually("the handler is at work", () => it.node.flows[0]?.actors.get("slow/each/0")?.recovered?.behaviour.busy === true);
  // What it is stopped in the middle of is told.
  progress.draining();
  const stopped = it.node.stop();
  await eventually("it says what it waits for", () => /Stopping: waits until each\/0 has committed and sent what is under way/.test(pipe.text));
  opened.open();
  await within(10_000, "the stop", stopped);
  progress.stop();
  assert.ok(pipe.text.startsWith("a line\n"));
  assert.not.ok(pipe.text.includes("\u001b"));
});

test.run();
