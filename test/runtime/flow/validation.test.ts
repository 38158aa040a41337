import { suite } from "uvu";
import * as assert from "uvu/assert";
import { defineFlow, MillraceError } from "../../../runtime/index.ts";
import { type Anything, anyhow, around, plan, refusal, refusals, sink, source, step } from "../../support/flow-parts.ts";

const test = suite("validation");
const refused = refusals(test);
const naming = "use 1 to 64 of a–z, 0–9 and -, a letter first";
const long = "a".repeat(65);

// ── names
for (const [given, shown] of [["By Region", '"By Region"'], ["", '""'], ["2x", '"2x"'], ["a_b", '"a_b"'], ["ä", '"ä"'], [long, `"${long.slice(0, 58)}…`], [undefined, "undefined"], [7, "7"]] as const) {
  refused(`NAME_INVALID: a stage named ${shown} is refused`, () => around((flow, feed) => { flow.processor(given, feed, step("map")); }),
    ["NAME_INVALID", `f/${typeof given === "string" ? given : typeof given}`, `${shown} is no name for a stage: ${naming}`]);
}
refused("NAME_INVALID: sources and sinks are told as such", () => anyhow("f", (flow: Anything) => { flow.sink("Out", flow.source("In", source()), sink()); }),
  ["NAME_INVALID", "f/In", `"In" is no name for a source: ${naming}`], ["NAME_INVALID", "f/Out", `"Out" is no name for a sink: ${naming}`]);
refused("NAME_INVALID: of a flow", () => anyhow("My flow", (flow: Anything) => { flow.source("feed", source()); }),
  ["NAME_INVALID", "My flow", `"My flow" is no name for a flow: ${naming}`]);
refused("NAME_INVALID: of a flow without a name", () => anyhow(undefined, (flow: Anything) => { flow.source("feed", source()); }),
  ["NAME_INVALID", "undefined", `undefined is no name for a flow: ${naming}`]);
refused("NAME_INVALID: a wrong sub-flow is told once, and not again for each stage in it", () => around((flow) => {
  const eu = flow.subflow("EU");
  eu.source("a", source());
  eu.subflow("north").source("b", source());
  eu.source("C", source());
}),
  ["NAME_INVALID", "f/EU", `"EU" is no name for a sub-flow: ${naming}`], ["NAME_INVALID", "f/EU-C", `"C" is no name for a source: ${naming}`]);
refused("NAME_INVALID: a name that is too long with its sub-flow's", () => around((flow) => { flow.subflow("a".repeat(40)).source("b".repeat(40), source()); }),
  ["NAME_INVALID", `f/${"a".repeat(40)}-${"b".repeat(40)}`, `"${"a".repeat(40)}-${"b".repeat(17)}… is no name for a source: ${naming}`]);
test("a name of 64 characters is accepted", () => {
  assert.is(plan(around((flow) => { flow.source("b".repeat(64), source()); })).stages.length, 2);
});
test("NAME_TAKEN: tells the lines of all that have the name", () => {
  const { problems } = refusal(() => around((flow, feed) => {
    flow.processor("felt", feed, step("map"));
    flow.sink("felt", feed, sink());
    flow.sink("felt", feed, sink());
    flow.source("feed", source());
  }));
  assert.equal(problems.map(({ code }) => code), ["NAME_TAKEN", "NAME_TAKEN"]);
  assert.match(problems[0]?.message ?? "", /^two stages are named "feed" \(test\/support\/flow-parts\.ts:\d+, test\/runtime\/flow\/validation\.test\.ts:\d+\)$/);
  assert.is(problems[0]?.remedy, "rename one");
  assert.match(problems[1]?.message ?? "", /^3 stages are named "felt" \((\S+:\d+, ){2}\S+:\d+\)$/);
  assert.is(problems[1]?.remedy, "give each a name of its own");
});
test("NAME_TAKEN: also by way of a sub-flow", () => {
  const { problems } = refusal(() => around((flow) => { flow.source("eu-raw", source()); flow.subflow("eu").source("raw", source()); }));
  assert.equal(problems.map(({ code, where }) => [code, where]), [["NAME_TAKEN", "f/eu-raw"]]);
});

// ── what the builder returns
refused("NAME_SHOWN: a stage under another name", () => around((flow, feed) => ({ feed, regions: flow.processor("by-region", feed, step("map")) })),
  ["NAME_SHOWN", "f/by-region", 'stage "by-region" is returned as "regions": return it as byRegion']);
refused("NAME_SHOWN: a sink under another name", () => around((flow, feed) => ({ result: flow.sink("out", feed, sink()) })),
  ["NAME_SHOWN", "f/out", 'sink "out" is returned as "result": return it as out']);
refused("NAME_SHOWN: a name that is another stage's own", () => around((flow, feed) => { flow.sink("p8", feed, sink()); return { p8: flow.processor("p-8", feed, step("map")) }; }),
  ["NAME_SHOWN", "f/p-8", 'stage "p-8" is returned as "p8": return it as "p-8"']);
refused("NAME_SHOWN: an output in place of its stage", () => around((flow, feed) => ({ big: flow.processor("split", feed, step("branch", { outputs: ["big"] })).big })),
  ["NAME_SHOWN", "f", '"big" is an output of "split": return split']);
refused("NAME_SHOWN: a merge", () => around((flow, feed) => ({ both: feed.merge(flow.source("more", source())) })),
  ["NAME_SHOWN", "f", '"both" is a merge of "feed" and "more": return feed, more']);
refused("NAME_SHOWN: a stream taken by key", () => around((_flow, feed) => ({ feed: feed.keyBy(() => 1) })),
  ["NAME_SHOWN", "f", '"feed" is "feed" taken by key, no stage: return feed']);
refused("NAME_SHOWN: something that is no handle", () => around(() => ({ count: 1, made: step("map") })),
  ["NAME_SHOWN", "f", '"count" is returned and is 1, no stage: return what flow.source(…), flow.processor(…) or flow.sink(…) gave'],
  ["NAME_SHOWN", "f", '"made" is returned and is an operator, no stage: return what flow.source(…), flow.processor(…) or flow.sink(…) gave']);
refused("NAME_SHOWN: a stage itself", () => around((flow, feed) => flow.sink("to-disk", feed, sink())),
  ["NAME_SHOWN", "f", 'the builder returned sink "to-disk" itself: return { toDisk }']);
for (const [returned, sort] of [[5, "5"], [[], "an array"], [null, "null"]] as const) {
  refused(`NAME_SHOWN: ${sort} in place of an object`, () => around(() => returned),
    ["NAME_SHOWN", "f", `the builder returned ${sort}: return the stages to show, such as { feed }, or nothing`]);
}
test("handles may be returned under the stage's own name, or that in camel case, or both", () => {
  const flow = around((builder, feed) => { const byRegion = builder.processor("by-region", feed, step("map")); return { feed, byRegion, "by-region": byRegion }; });
  assert.is(plan(flow).stages.length, 2);
});

// ── the flow as a whole
for (const build of [undefined, {}, "flow"]) {
  refused(`OPTION_INVALID: ${JSON.stringify(build)} in place of the builder`, () => anyhow("f", build),
    ["OPTION_INVALID", "f", `the builder of flow "f" is ${build === undefined || typeof build === "string" ? JSON.stringify(build) ?? "undefined" : "an object"}: give a function, (flow) => { … }`]);
}

refused("SOURCE_MISSING: a flow without any source", () => anyhow("f", () => {}), ["SOURCE_MISSING", "f", "the flow has no source: begin it with flow.source(…)"]);
refused("STREAM_FOREIGN: a stream of another flow", () => {
  let other: Anything;
  anyhow("b", (flow: Anything) => { other = flow.source("theirs", source()); });
  around((flow, feed) => { flow.processor("x", feed.merge(other), step("map")); return { theirs: other }; });
},
  ["STREAM_FOREIGN", "f/x", 'stage "x" of flow "f" reads a stream of flow "b": declare what it reads in the same flow'],
  ["STREAM_FOREIGN", "f", 'flow "f" returns source "theirs" of flow "b": return it from that one']);
refused("FLOW_ASYNC: an async builder", () => anyhow("f", async (flow: Anything) => { flow.source("feed", source()); }),
  ["FLOW_ASYNC", "f", "the builder is async: await before defineFlow, and use in the builder what came of it"]);
test("FLOW_ASYNC: what an async builder rejects with later does not end the process", async () => {
  let unhandled = 0;
  const note = () => { unhandled++; };
  process.on("unhandledRejection", note);
  try {
    assert.is(refusal(() => anyhow("f", async () => { throw new Error("later"); })).code, "FLOW_INVALID");
    // Node tells of unhandled rejections when the microtasks are done, so before this.
    await new Promise((resolve) => setImmediate(resolve));
  } finally {
    process.off("unhandledRejection", note);
  }
  assert.is(unhandled, 0);
});
test("FLOW_CLOSED: what an async builder declares after it waited is refused", async () => {
  let late: unknown;
  let done: Promise<unknown> | undefined;
  refusal(() => anyhow("f", (flow: Anything) => (done = Promise.resolve().then(() => flow.source("feed", source())))));
  await done?.catch((error: unknown) => { late = error; });
  assert.instance(late, MillraceError);
  assert.is((late as MillraceError).code, "FLOW_CLOSED");
});
test("FLOW_CLOSED: a stage or sub-flow that is declared after defineFlow returned is refused at once", () => {
  let kept: Anything;
  const flow = around((builder) => { kept = builder; });
  for (const declare of [() => kept.source("x", source()), () => kept.processor("x", undefined, step("map")), () => kept.sink("x", undefined, sink()), () => kept.subflow("x")]) {
    const error = refusal(declare);
    assert.is(error.code, "FLOW_CLOSED");
    assert.is(error.where, "f/x");
    assert.match(error.message, '"x" was declared after defineFlow returned');
  }
  assert.is(plan(flow).stages.length, 1);
});
// ── all of it at once
const counter = { keyed: true, state: "key" } as const;
test("all problems are told at once, in the order of the declarations, each with its line, where, what and remedy", () => {
  const error = refusal(() => around((flow, feed) => {
    const felt = flow.processor("felt", feed, { paralelism: 2, parallelism: 0 }, (data: unknown) => data);
    flow.processor("Velocity", felt, step("stateful", counter));
    flow.sink("out", undefined, { order: "newest" }, sink());
    return { felled: felt };
  }, { strategy: 1 }));
  assert.is(error.code, "FLOW_INVALID");
  assert.is(error.where, "f");
  assert.equal(error.problems.map(({ code, where }) => `${where} ${code}`), [
    "f OPTION_UNKNOWN", "f/felt OPTION_UNKNOWN", "f/felt OPTION_INVALID", "f/felt OPERATOR_INVALID",
    "f/Velocity NAME_INVALID", "f/Velocity KEY_MISSING", "f/out OPTION_INVALID", "f/out STAGE_UNREACHED", "f/felt NAME_SHOWN",
  ]);
  const line = (where: string) => Number(error.problems.find((problem) => problem.where === where)?.at?.split(":")[1]);
  assert.equal([line("f/Velocity"), line("f/out")], [line("f/felt") + 1, line("f/felt") + 2]);
  for (const { message, remedy, code, at, where } of error.problems) {
    assert.match(at ?? "", where === "f" ? /^test\/support\/flow-parts\.ts:\d+$/ : /^test\/runtime\/flow\/validation\.test\.ts:\d+$/);
    assert.ok(error.message.includes(`${message}: ${remedy}`) && error.message.includes(code), code);
  }
});

test("what a builder throws over its own mistake comes with the mistake that led to it", () => {
  const error = refusal(() => around((flow, feed) => {
    const split = flow.processor("split", feed, (data: unknown) => data);
    flow.sink("big", split.big.keyBy(() => 1), sink());
  }));
  assert.equal(error.problems.map(({ code }) => code), ["OPERATOR_INVALID"]);
  assert.instance(error.cause, TypeError);
  assert.match(error.message, "Then the builder threw: Cannot read properties of undefined (reading 'keyBy')");
});

test("a flow that is refused leaves nothing behind: the same name can be defined again", () => {
  refusal(() => anyhow("f", () => {}));
  assert.is(defineFlow("f", (flow) => { flow.source("feed", source()); }).name, "f");
});

test.run();
