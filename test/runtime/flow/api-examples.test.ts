// The examples of the API, made of the real operators, sources and sinks.
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { aggregate, branch, filter, jsonl, map, pipe, stateful, stdout, summarize, text, tumbling, count } from "millrace/actors";
import { defineFlow, type Emits, type FlowBuilder, type Stream } from "millrace";
import quakes from "../../../examples/quakes.ts";
import type { FlowPlan, ProcessorPlan, SinkPlan, SourcePlan } from "../../../runtime/flow/plan.ts";
import { plan, refusal } from "../../support/flow-parts.ts";

const test = suite("examples of the API");

/** A line for each stage: what it is, how many, what it reads, and where it goes. */
const told = (of: FlowPlan) => of.stages.map((stage) => {
  const does = stage.kind === "source" ? stage.source.kind : stage.kind === "sink" ? stage.sink.kind : stage.steps.map((step) => step.kind).join(", ");
  const reads = stage.inputs.map((edge) => `${edge.from}${edge.output && `.${edge.output}`}${edge.key ? " by key" : ""}${edge.eventTime ? " timed" : ""}`);
  return `${stage.name} x${stage.parallelism}: ${does}${reads.length > 0 ? ` <- ${reads.join(" + ")}` : ""}${stage.outputs.length > 0 ? ` -> ${stage.outputs.join(", ")}` : ""}`;
});

test("quakes: a file, a flatMap, four aggregates by key, and a sink in order of time", () => {
  assert.equal(told(plan(quakes)), [
    "feed x1: json",
    "felt x1: flatMap <- feed timed",
    "by-region x4: aggregate <- felt by key timed",
    "report x1: jsonl <- by-region timed",
  ]);
  const [feed, , byRegion, report] = plan(quakes).stages as [SourcePlan, ProcessorPlan, ProcessorPlan, SinkPlan];
  assert.is(feed.outOfOrder, "any");
  assert.is(feed.time?.({ properties: { time: 7 } }), 7);
  assert.is(byRegion.inputs[0]?.key?.({ region: "Alaska" }), "Alaska");
  assert.is(byRegion.steps[0]?.state, "key");
  assert.is(report.order, "time");
});

interface Payment { account: string; at: string }
interface Alert { account: string; payments: number }

test("fraud: state by key, which waits for event time because of its timer", () => {
  const fraud = defineFlow("fraud", (flow) => {
    const payments = flow.source("payments", jsonl.source<Payment>("payments.jsonl"), { time: (payment) => payment.at });
    const velocity = flow.processor("velocity", payments.keyBy((payment) => payment.account), { parallelism: 8 }, stateful({
      initial: () => ({ count: 0 }),
      on(state, payment, ctx: Emits<Alert>) {
        const count = state.count + 1;
        if (count > 5) ctx.emit({ account: payment.account, payments: count });
        ctx.timer("quiet", "10m");
        return { count };
      },
      onTimer: () => null,
      queries: { count: (state) => state.count },
    }));
    const alerts = flow.sink("alerts", velocity, jsonl.sink("out/alerts.jsonl"));
    return { payments, velocity, alerts };
  });
  assert.equal(told(plan(fraud)), ["payments x1: jsonl", "velocity x8: stateful <- payments by key timed", "alerts x1: jsonl <- velocity"]);
});

test("jobs: sub-flows, a merge, a pipe of filters and a branch", () => {
  const clean = (flow: FlowBuilder, raw: Stream<string>) => flow.processor("clean", raw, pipe(map((line) => line.trim()), filter((line) => line !== "")));
  const jobs = defineFlow("jobs", { supervision: { strategy: "rest_for_one" } }, (flow) => {
    const eu = clean(flow.subflow("eu"), flow.source("eu", text.source("eu.txt")));
    const us = clean(flow.subflow("us"), flow.source("us", text.source("us.txt")));
    const all = flow.processor("jobs", eu.merge(us), map((url) => ({ url })));
    const fetched = flow.processor("fetched", all.keyBy((job) => job.url), { parallelism: 4, mailbox: { maxFrames: 256 } }, pipe(
      map(async (job) => ({ ...job, ok: job.url.length > 3 }), { concurrency: 16 }),
      branch({ failed: (job) => !job.ok }),
    ));
    flow.sink("failed", fetched.failed, stdout());
    flow.sink("done", fetched, stdout());
    return { euClean: eu, fetched };
  });
  assert.equal(told(plan(jobs)), [
    "eu x1: text", "eu-clean x1: map, filter <- eu", "us x1: text", "us-clean x1: map, filter <- us",
    "jobs x1: map <- eu-clean + us-clean", "fetched x4: map, branch <- jobs by key -> failed",
    "failed x1: stdout <- fetched.failed", "done x1: stdout <- fetched",
  ]);
  assert.is(plan(jobs).supervision.strategy, "rest_for_one");
  assert.is((plan(jobs).stages[5] as ProcessorPlan).maxFrames, 256);
});

test("log analytics: windows with what comes too late on a way of its own", () => {
  const requests = defineFlow("requests", (flow) => {
    const seen = flow.source("requests", jsonl.source<{ path: string; status: number }>("requests.jsonl"));
    const minutes = flow.processor("minutes", seen.keyBy((r) => r.path), summarize({
      window: tumbling("1m"), lateness: "5m", late: true, of: { requests: count(), errors: count((r) => r.status >= 500) },
    }));
    flow.sink("late", minutes.late, jsonl.sink("late.jsonl"));
  });
  assert.equal(told(plan(requests)), ["requests x1: jsonl", "minutes x1: summarize <- requests by key timed -> late", "late x1: jsonl <- minutes.late"]);
});

test("a file sink of several actors without {partition} in its path is refused, and with it is not", () => {
  const define = (path: string) => defineFlow("f", (flow) => {
    flow.sink("report", flow.source("feed", text.source("x")), { parallelism: 4 }, jsonl.sink(path));
  });
  assert.equal(refusal(() => define("out.jsonl")).problems.map(({ code }) => code), ["SPLIT_MISSING"]);
  assert.is(plan(define("out-{partition}.jsonl")).stages[1]?.parallelism, 4);
});

test("what the real operators find wrong is told with the stage's name and line", () => {
  const { problems } = refusal(() => defineFlow("f", (flow) => {
    const feed = flow.source("feed", text.source("x"));
    flow.processor("daily", feed.keyBy((line) => line), aggregate({ late: true, version: 2, initial: () => 0, add: (n: number) => n + 1 } as never));
    flow.processor("felt", feed, pipe(map(3 as never), ((line: string) => line) as never));
  }));
  assert.equal(problems.map(({ code, where }) => `${where} ${code}`), ["f/daily WINDOW_MISSING", "f/daily MIGRATE_MISSING", "f/felt OPTION_INVALID", "f/felt OPERATOR_INVALID"]);
  assert.is(problems[0]?.message, 'aggregate of "daily" has late: true and no window');
  for (const { at } of problems) assert.match(at ?? "", /^test\/runtime\/flow\/api-examples\.test\.ts:\d+$/);
});

test.run();
