import { suite } from "uvu";
import * as assert from "uvu/assert";
import { treeText } from "../../../runtime/cli/tree-text.ts";
import type { TreeLine } from "../../../runtime/inspect/report.ts";
import { record } from "../../support/recording-stream.ts";

const test = suite("tree-text");

const { colors } = record().terminal;
const line = (depth: number, id: string, more: Partial<TreeLine> = {}): TreeLine => ({ depth, id, kind: (["root", "flow", "stage", "actor"] as const)[depth] ?? "actor", state: "running.active", paused: false, restarts: 0, ...more });
const figures = { in: 1_234, out: 5, late: 0, deadLetters: 0, openLetters: 0, lag: 3, journal: 17, heldUpBy: [], parked: { keys: 0, first: [], events: 0 }, timers: 0 };
const draw = (lines: readonly TreeLine[], width = 80): string => treeText(lines, { width, colors, now: 10_000 });

test("a tree is drawn with its branches, states and figures", () => {
  assert.is(draw([line(0, "n1"), line(1, "f"), line(2, "f/a"), line(3, "f/a/0", { figures }), line(2, "f/b"), line(3, "f/b/0", { figures: { ...figures, lag: null }, restarts: 2 })]), `
              state    restarts     in  out  waiting  journal
  node n1     running         0
  └─ f        running         0
     ├─ a     running         0
     │  └─ 0  running         0  1,234    5        3       17
     └─ b     running         0
        └─ 0  running         2  1,234    5                17`.slice(1));
});

test("why it does not run, or what failed last, is on a line of its own below, without code and remedy", () => {
  const text = draw([line(0, "n1"), line(1, "f"), line(2, "f/a"), line(3, "f/a/0", { state: "backing-off", why: { message: "The target is gone (SINK_LOST, f/a/0). Put it back." }, nextTryAt: 11_500 }), line(3, "f/a/1", { lastFailure: { at: 7_000, message: "Error: no\u001b[2J", decision: "restart" } })]);
  assert.match(text, /│? *├─ 0 +backing-off +0\n +│? +│? +The target is gone; again in 1\.5s\n/);
  assert.match(text, /└─ 1 +running +0\n +3s ago: Error: no·\[2J/);
});

test("who is held up says by whom; dead letters and late events are told", () => {
  const text = draw([line(0, "n1"), line(1, "f"), line(2, "f/a"), line(3, "f/a/0", { figures: { ...figures, heldUpBy: ["b/0", "b/1"], deadLetters: 1, openLetters: 1, late: 2_000 } })]);
  assert.match(text, /held up by b\/0, b\/1; 1 dead letter; 2,000 late/);
});

test("it tells which letters are open, and which keys wait for a person", () => {
  const text = draw([line(0, "n1"), line(1, "f"), line(2, "f/a"), line(3, "f/a/0", { figures: { ...figures, deadLetters: 3, openLetters: 2, parked: { keys: 1, first: ["acc-1"], events: 7 } } }), line(3, "f/a/1", { figures: { ...figures, parked: { keys: 9, first: [1, 2], events: 1 } } })], 200);
  assert.match(text, /key acc-1 waits for dlq replay or drop, 7 events behind; 3 dead letters, 2 open/);
  assert.match(text, /9 keys: 1, 2 … wait for dlq replay or drop, 1 event behind/);
});

test("of very many actors those that are well are put together, and those that are not are shown", () => {
  const actors = Array.from({ length: 100 }, (_, p) => line(3, `f/a/${p}`, p === 77 ? { restarts: 1 } : p === 99 ? { state: "parked", why: { message: "gave up" } } : {}));
  const text = draw([line(0, "n1"), line(1, "f"), line(2, "f/a"), ...actors]);
  assert.match(text, /├─ 77 +running +1/);
  assert.match(text, /├─ 99 +parked/);
  assert.match(text, /└─ … and 90 more actors +running/);
  assert.ok(text.split("\n").length < 20);
});

for (const width of [30, 40, 60, 80, 120]) {
  test(`it fits ${width} columns`, () => {
    const text = draw([line(0, "a-node-with-a-long-name-3f9a2b"), line(1, "flow"), line(2, "flow/a-stage-with-a-long-name"), line(3, "flow/a-stage-with-a-long-name/0", { figures, lastFailure: { at: 1, message: "Error: something that takes many words to tell, more than there is room for", decision: "x" } })], width);
    assert.ok(text.split("\n").every((one) => one.length <= width), text);
  });
}

test.run();
