import { suite } from "uvu";
import * as assert from "uvu/assert";
import { type Anything, anyhow, around, plan, refusals, sink, source, step } from "../../support/flow-parts.ts";

const test = suite("option table");
const refused = refusals(test);

refused("OPTION_UNKNOWN: says what was probably meant", () => around((flow, feed) => { flow.processor("felt", feed, { paralelism: 2 }, step("map")); }),
  ["OPTION_UNKNOWN", "f/felt", 'stage "felt" has no option "paralelism": did you mean "parallelism"?']);
refused("OPTION_UNKNOWN: within another option", () => around((flow, feed) => { flow.sink("out", feed, { supervision: { backoff: { maximum: "1s" } }, poison: { afer: 3 } }, sink()); }),
  ["OPTION_UNKNOWN", "f/out", 'sink "out" has no option "supervision.backoff.maximum": there are supervision.backoff.min, supervision.backoff.max, supervision.backoff.factor, supervision.backoff.jitter'],
  ["OPTION_UNKNOWN", "f/out", 'sink "out" has no option "poison.afer": did you mean "poison.after"?']);
refused("OPTION_UNKNOWN: a source has no mailbox", () => around((flow) => { flow.source("more", source(), { mailbox: { maxFrames: 64 } }); }),
  ["OPTION_UNKNOWN", "f/more", 'source "more" has no option "mailbox": there are parallelism, supervision, place, time, schema, type']);
refused("OPTION_UNKNOWN: of a flow", () => around(() => {}, { suprvision: {} }),
  ["OPTION_UNKNOWN", "f", 'flow "f" has no option "suprvision": did you mean "supervision"?']);
refused("OPTION_UNKNOWN: a name that every object has is no option", () => around((flow, feed) => { flow.sink("out", feed, { toString: 1 }, sink()); }),
  ["OPTION_UNKNOWN", "f/out", 'sink "out" has no option "toString": there are parallelism, supervision, place, order, mailbox, poison']);

const duration = 'a duration such as "10s"';
const invalid = (options: object, text: string) => refused(`OPTION_INVALID: ${text}`, () => around((flow, feed) => { flow.processor("felt", feed, options, step("map")); }), ["OPTION_INVALID", "f/felt", text]);
const ranged = 'a range that follows the lag, such as { min: 2, max: 16, targetLag: "5s" }', lag = 'give a duration such as "5s", 100ms or more, at most 24d';
for (const parallelism of [0, 1.5, 1_025, "4"]) invalid({ parallelism }, `parallelism of "felt" is ${JSON.stringify(parallelism)}: give a whole number from 1 to 1,024, or ${ranged}`);
invalid({ parallelism: { min: 0, max: 8, targetLag: "10s" } }, 'parallelism.min of "felt" is 0: give a whole number from 1 to 1,024');
invalid({ parallelism: { min: 1, max: 2_000, targetLag: "10s" } }, 'parallelism.max of "felt" is 2000: give a whole number from 1 to 1,024');
invalid({ parallelism: { min: 4, max: 3, targetLag: "10s" } }, 'parallelism.min of "felt" is 4 and above its max, 3: give a min that is not above max');
for (const targetLag of ["99ms", "soon"]) invalid({ parallelism: { min: 1, max: 8, targetLag } }, `parallelism.targetLag of "felt" is ${JSON.stringify(targetLag)}: ${lag}`);
invalid({ parallelism: { min: 1 } }, 'parallelism of "felt" is a range without max and targetLag: give all three, such as { min: 2, max: 16, targetLag: "5s" }, or a number');
refused("a range for a sink", () => around((flow, feed) => { flow.sink("out", feed, { parallelism: { min: 1, max: 8, targetLag: "10s" } }, sink()); }),
  ["OPTION_INVALID", "f/out", `parallelism of "out" is { min: 1, max: 8, targetLag: '10s' }: give a whole number from 1 to 1,024`]);
refused("a range for a stage in threads of its own", () => around((flow, feed) => { flow.processor("felt", feed, { parallelism: { min: 1, max: 8, targetLag: "10s" }, isolate: "worker" }, step("map")); }),
  ["OPTION_INVALID", "f/felt", 'stage "felt" runs in threads of its own (isolate), and is to have as many actors as its lag asks for: give a number of actors, or leave isolate out']);
invalid({ order: "newest" }, 'order of "felt" is "newest": give "arrival" or "time"');
invalid({ mailbox: 64 }, 'mailbox of "felt" is 64: give an object, such as { maxFrames: 4096 }');
invalid({ mailbox: { maxFrames: 0 } }, 'mailbox.maxFrames of "felt" is 0: give a whole number from 1 to 1,000,000');
const label = 'a label such as "zone=a", or a list of 1 to 64: each 1 to 63 letters, digits and . _ = / -';
for (const given of ["", "zone a", "-a", 7]) invalid({ place: { label: given } }, `place.label of "felt" is ${JSON.stringify(given)}: give ${label}`);
invalid({ place: { label: [] } }, `place.label of "felt" is []: give ${label}`);
invalid({ place: { label: ["zone=a", "b c"] } }, `place.label of "felt" is [ 'zone=a', 'b c' ]: give ${label}`);
invalid({ place: { spread: "yes" } }, 'place.spread of "felt" is "yes": give true or false');
for (const standby of [3, 0.5, true]) invalid({ place: { standby } }, `place.standby of "felt" is ${standby}: give 0, 1 or 2`);
invalid({ place: "zone=a" }, 'place of "felt" is "zone=a": give an object, such as { label: "zone=a", spread: true, standby: 1 }');
refused("OPTION_UNKNOWN: within place", () => around((flow, feed) => { flow.sink("out", feed, { place: { labels: ["a"] } }, sink()); }),
  ["OPTION_UNKNOWN", "f/out", 'sink "out" has no option "place.labels": did you mean "place.label"?']);
invalid({ poison: { after: 0 } }, 'poison.after of "felt" is 0: give a whole number from 1 to 1,000');
invalid({ poison: { deadline: "1 minute" } }, `poison.deadline of "felt" is "1 minute": give ${duration}, 1ms or more, at most 24d`);
invalid({ poison: { deadline: "25d" } }, `poison.deadline of "felt" is "25d": give ${duration}, 1ms or more, at most 24d`);
invalid({ poison: { park: "all" } }, 'poison.park of "felt" is "all": give "event" or "key"');
invalid({ supervision: { strategy: "one-for-one" } }, 'supervision.strategy of "felt" is "one-for-one": give "one_for_one", "one_for_all" or "rest_for_one"');
invalid({ supervision: { restart: "always" } }, 'supervision.restart of "felt" is "always": give "permanent", "transient" or "temporary"');
invalid({ supervision: { intensity: -1 } }, 'supervision.intensity of "felt" is -1: give a whole number from 0 to 1,000,000');
invalid({ supervision: { period: 0 } }, `supervision.period of "felt" is 0: give ${duration}, 1ms or more`);
invalid({ supervision: { shutdown: -1 } }, `supervision.shutdown of "felt" is -1: give ${duration}, at most 24d`);
invalid({ supervision: "permanent" }, 'supervision of "felt" is "permanent": give an object, such as { restart: "transient" }');
invalid({ supervision: { backoff: { factor: 0.5 } } }, 'supervision.backoff.factor of "felt" is 0.5: give a number from 1 to 1,000');
invalid({ supervision: { backoff: { jitter: 2 } } }, 'supervision.backoff.jitter of "felt" is 2: give a number from 0 to 1');
invalid({ supervision: { backoff: { min: "1m", max: "1s" } } }, 'supervision.backoff.min of "felt" is "1m" and above its max, "1s": give a min that is not above max');

refused("OPTION_INVALID: time of a source", () => anyhow("f", (flow: Anything) => {
  flow.source("a", source(), { time: "time" });
  flow.source("b", source(), { time: { of: "time", outOfOrder: "soon", idleAfter: 0 }, type: "" });
}),
  ["OPTION_INVALID", "f/a", 'time of "a" is "time": give a function, (data) => data.time, or an object, such as { outOfOrder: "10s" }'],
  ["OPTION_INVALID", "f/b", 'time.of of "b" is "time": give a function, (data) => data.time'],
  ["OPTION_INVALID", "f/b", `time.outOfOrder of "b" is "soon": give ${duration}, or "any"`],
  ["OPTION_INVALID", "f/b", `time.idleAfter of "b" is 0: give ${duration}, 1ms or more, or "never"`],
  ["OPTION_INVALID", "f/b", 'type of "b" is "": give a text']);
refused("OPTION_INVALID: options that are no object", () => around((flow, feed) => { flow.sink("out", feed, 4, sink()); }, "fast"),
  ["OPTION_INVALID", "f", 'the options of flow "f" are "fast": give an object, such as { parallelism: 4 }, or leave them out'],
  ["OPTION_INVALID", "f/out", 'the options of "out" are 4: give an object, such as { parallelism: 4 }, or leave them out']);
refused("OPTION_INVALID: a source and a sink that lack a part", () => anyhow("f", (flow: Anything) => {
  const feed = flow.source("feed", source({ read: undefined as never, kind: 3 as never }));
  flow.source("push", source({ guarantee: "acknowledged" as never }));
  flow.source("odd", source({ guarantee: "sometimes" as never }));
  flow.sink("out", feed, sink({ open: "file" as never, guarantee: "exactly-once" as never }));
}),
  ["OPTION_INVALID", "f/feed", 'kind of what source "feed" runs is 3: give a text, such as "jsonl"'],
  ["OPTION_INVALID", "f/feed", 'read of what source "feed" runs is undefined: give a function, async *read(from, ctx) { … }'],
  ["OPTION_INVALID", "f/push", 'listen of what source "push" runs is undefined: give a function, async listen(accept, ctx) { … }'],
  ["OPTION_INVALID", "f/odd", 'guarantee of what source "odd" runs is "sometimes": give "replayable", "acknowledged" or "best-effort"'],
  ["OPTION_INVALID", "f/out", 'open of what sink "out" runs is "file": give a function, async open(ctx) { … }'],
  ["OPTION_INVALID", "f/out", 'guarantee of what sink "out" runs is "exactly-once": give "transactional", "idempotent" or "at-least-once"']);
test("a stage with a range begins with its least", () => {
  const stage = plan(around((flow, feed) => { flow.processor("felt", feed, { parallelism: { min: 2, max: 8, targetLag: "10s" } }, step("map")); })).stages[1] as { parallelism?: number; follows?: object };
  assert.equal([stage.parallelism, stage.follows], [2, { min: 2, max: 8, targetLagMs: 10_000 }]);
});
test("an option that is undefined is one that was left out", () => {
  assert.is(plan(around((flow, feed) => { flow.sink("out", feed, { parallelism: undefined }, sink()); flow.sink("b", feed, undefined, sink()); })).stages[1]?.parallelism, 1);
});

test.run();
