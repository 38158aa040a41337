// What commands say while they watch: each thing once where lines stay, one line that is rewritten on a terminal.
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { StatusLine } from "../../../runtime/cli/status-line.ts";
import { followed } from "../../../runtime/cli/upgrade.ts";
import type { UpgradeState } from "../../../runtime/inspect/upgrade-orders.ts";
import { record } from "../../support/recording-stream.ts";

const test = suite("status-line");
const state = (more: Partial<UpgradeState> = {}): UpgradeState => ({ is: "under way", code: "a".repeat(64), to: "b".repeat(64), over: [], actors: 6, failed: null, waits: null, ...more });

/** Gives these states one after another; six seconds are past at each look. */
async function watch(screen: ReturnType<typeof record>, states: readonly UpgradeState[]): Promise<void> {
  const real = performance.now, left = [...states], line = new StatusLine(screen.terminal);
  let now = 0;
  performance.now = () => now;
  try {
    const end = await followed(() => { now += 6_000; return Promise.resolve(left.shift()); }, "sums", 600_000, line);
    line.close();
    assert.is(end.is, "upgraded");
  } finally {
    performance.now = real;
  }
}

test("an upgrade that is watched says a thing once, however long it stays so, and again when it is so again", async () => {
  const screen = record(), waits = "sums/out/0: it is on its way on node n2", one = state({ over: ["sums/out/0"], waits });
  await watch(screen, [state(), state(), state(), one, one, one, state(), state({ is: "upgraded" })]);
  const none = "sums: 0 of 6 actors have another code than aaaaaaaaaaaa";
  assert.equal(screen.text.split("\n"), [none, `sums: 1 of 6 actors has another code than aaaaaaaaaaaa; ${waits}`, none, ""]);
});

test("on a terminal it is one line, rewritten, with the time that is left, and gone before anything else is written", async () => {
  const screen = record({ isTTY: true, columns: 200 });
  await watch(screen, [state(), state(), state({ is: "upgraded" })]);
  assert.match(screen.text, /0 of 6 actors have another code than aaaaaaaaaaaa; watched for 9m 54s more at most[\s\S]*9m 48s more at most/);
  assert.ok(screen.text.lastIndexOf("\u001B[2K") > screen.text.lastIndexOf("at most"), "it is wiped off");
});

test("once it is closed nothing is shown any more", () => {
  for (const screen of [record(), record({ isTTY: true })]) {
    const line = new StatusLine(screen.terminal);
    line.close();
    const { text } = screen;
    line.show("late");
    line.close();
    assert.is(screen.text, text);
  }
});

test.run();
