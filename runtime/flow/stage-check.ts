// What may be wrong with one stage. Options are held to tables (option-table.ts); here is what tables cannot say.
import type { Problem } from "../event/errors.ts";
import { type CallSite, locationOf } from "./call-site.ts";
import { shown, sortOf } from "./display.ts";
import type { StageDraft } from "./draft.ts";
import { type NoWay, reserved, type Way, waysOf } from "./handle.ts";
import { type OperatorSpec, stepsOf } from "./operator.ts";
import { checkOptions, isFunction, processorTable, type Report, sourceTable, stageTable } from "./option-table.ts";
import { isSchema } from "./schema.ts";
import { sinkOf } from "./sink.ts";
import { type PullSource, type PushSource, sourceOf } from "./source.ts";

/** What a stage is called in a sentence. */
export const thingOf = (stage: StageDraft): string => `${stage.kind === "processor" ? "stage" : stage.kind} ${JSON.stringify(stage.name)}`;

export function checkStage(stage: StageDraft, report: Report): void {
  if (!isPart(stage.options)) checkOptions(stage.options, stage.kind === "source" ? sourceTable : stage.kind === "processor" ? processorTable : stageTable, thingOf(stage), JSON.stringify(stage.name), report);
  else if (isPart(stage.body)) {
    report("OPERATOR_INVALID", `${thingOf(stage)} got ${sortOf(stage.options)} where its options belong`,
      stage.kind === "processor" && stepsOf(stage.body) ? "make one operator of several, pipe(a, b)" : "leave it out");
  }
  if (stage.kind === "source") return checkSource(stage, report);
  const steps = stage.kind === "processor" ? checkOperator(stage, report) : checkSink(stage, report);
  checkInputs(stage, steps, report);
}

// ── where the events come from

function checkInputs(stage: StageDraft, steps: readonly OperatorSpec[], report: Report): void {
  const ways = waysOf(stage.from);
  if (!ways) {
    const remedy = Array.isArray(stage.from) ? "merge them, a.merge(b)" : "give what flow.source(…), flow.processor(…) or .keyBy(…) returned";
    return report("STAGE_UNREACHED", `no source reaches ${thingOf(stage)}: it got ${sortOf(stage.from)} where a stream belongs`, remedy);
  }
  for (const way of ways) checkWay(stage, way, report);

  const keyless = ways.filter((way): way is Way => way.stage !== undefined && way.key === undefined);
  if (keyless.length === 0) return;
  const keyed = steps.find((step) => step.keyed);
  const merged = ways.length > 1 ? ` (${[...new Set(keyless.map(nameOfWay))].join(", ")})` : "";
  if (keyed) {
    const does = keyed.state === "key" ? "keeps state per key" : `works by key (${keyed.kind})`;
    report("KEY_MISSING", merged === "" ? `${thingOf(stage)} ${does} and its input has none` : `${thingOf(stage)} ${does} and not all of its merged inputs have one`,
      `call .keyBy(…) on ${merged === "" ? "the input" : `each of them${merged}`}`);
  } else if (keyless.length < ways.filter((way) => way.stage).length) {
    report("KEY_MISSING", `${thingOf(stage)} merges inputs with a key and inputs without one`, `call .keyBy(…) on each of them${merged}, or on none`);
  }
}

function checkWay(stage: StageDraft, way: Way | NoWay, report: Report): void {
  if (way.stage === undefined) {
    const given = Array.isArray(way.given) ? "spread it, a.merge(...others)" : "merge what flow.source(…) or flow.processor(…) returned";
    return report("STAGE_UNREACHED", `no source reaches ${thingOf(stage)} by one of its merged inputs${lineOf(way.site)}: it got ${sortOf(way.given)} where a stream belongs`, given);
  }
  if (way.stage.flow !== stage.flow) {
    report("STREAM_FOREIGN", `${thingOf(stage)} of flow ${shown(stage.flow.name)} reads a stream of flow ${shown(way.stage.flow.name)}`, "declare what it reads in the same flow");
  }
  if (way.key?.site) {
    report("OPERATOR_INVALID", `keyBy on the input of ${JSON.stringify(stage.name)}${lineOf(way.key.site)} got ${sortOf(way.key.by)} where a function belongs`, "give it one, (data) => data.id");
  }
}

const nameOfWay = (way: Way): string => JSON.stringify(way.output === "" ? way.stage.name : `${way.stage.name}.${way.output}`);

/** The line of a merge or keyBy, which may be far from the stage that it leads to. */
function lineOf(site: CallSite): string {
  const at = locationOf(site);
  return at === undefined ? "" : ` (${at})`;
}

// ── what is done with them

function checkOperator(stage: StageDraft, report: Report): readonly OperatorSpec[] {
  const steps = stepsOf(stage.body);
  if (!steps) {
    misplaced(stage, "an operator", isFunction(stage.body) ? "wrap it, map(fn)" : "give what map(…), aggregate(…) and the like return", report);
    return [];
  }
  const name = JSON.stringify(stage.name);
  const { parallelism, isolate } = (stage.options ?? {}) as { readonly parallelism?: unknown; readonly isolate?: unknown };
  if (isolate === "worker" && typeof parallelism === "object") report("OPTION_INVALID", `${thingOf(stage)} runs in threads of its own (isolate), and is to have as many actors as its lag asks for`, "give a number of actors, or leave isolate out");
  const states = steps.filter((step) => step.state === "key");
  if (states.length > 1) {
    report("STATE_TWICE", `${thingOf(stage)} has ${states.length === 2 ? "two" : states.length} operators with state (${states.map((step) => step.kind).join(", ")})`,
      `make ${states.length === 2 ? "two" : states.length} stages of it`);
  }
  const taken = new Set<string>();
  for (const output of steps.flatMap((step) => step.outputs ?? [])) {
    if (output === "") report("OUTPUT_TAKEN", `${thingOf(stage)} has an output with an empty name, which its own stream has`, "name it");
    else if (reserved.has(output)) report("OUTPUT_TAKEN", `${thingOf(stage)} has an output named ${JSON.stringify(output)}, which every stream has`, "rename it");
    else if (taken.has(output)) report("OUTPUT_TAKEN", `${thingOf(stage)} has two outputs named ${JSON.stringify(output)}`, "rename one");
    taken.add(output);
  }
  for (const step of steps) {
    for (const { code, message, remedy } of step.problems ?? []) report(code, ofStage(message, step.kind, name), remedy);
    const { version = 1 } = step;
    if (Number.isInteger(version) && version > 1 && step.migrate === undefined && !step.problems?.some((problem) => problem.code === "MIGRATE_MISSING")) {
      report("MIGRATE_MISSING", `state of ${name} has version ${version} and no migrate`, "say how older state becomes the new one, migrate: (state, from) => …");
    }
  }
  return steps;
}

/** An operator does not know its stage: "aggregate has late: true" becomes `aggregate of "daily" has late: true`. */
function ofStage(message: string, kind: string, name: string): string {
  return message.startsWith(`${kind} `) ? `${kind} of ${name}${message.slice(kind.length)}` : `stage ${name}: ${message}`;
}

function checkSource(stage: StageDraft, report: Report): void {
  const source = sourceOf(stage.body);
  if (!source) return misplaced(stage, "a source", "give what jsonl.source(…), defineSource(…) and the like return", report);
  const { kind, guarantee } = source;
  const pull = source as PullSource<unknown, unknown>;
  const push = source as PushSource<unknown>;
  required(stage, "kind", typeof kind === "string", kind, 'a text, such as "jsonl"', report);
  if (guarantee === "replayable") {
    required(stage, "read", isFunction(pull.read), pull.read, "a function, async *read(from, ctx) { … }", report);
    required(stage, "splits", pull.splits === undefined || isFunction(pull.splits), pull.splits, "a function that names the parts, async () => [\"a\", \"b\"]", report);
  } else if (guarantee === "acknowledged" || guarantee === "best-effort") {
    required(stage, "listen", isFunction(push.listen), push.listen, "a function, async listen(accept, ctx) { … }", report);
  } else required(stage, "guarantee", false, guarantee, '"replayable", "acknowledged" or "best-effort"', report);

  const parallelism = numberOf(stage, "parallelism");
  if (guarantee === "replayable" && parallelism > 1 && pull.splits === undefined) {
    report("SPLIT_MISSING", `${thingOf(stage)} has parallelism ${parallelism} and cannot be split`, "leave its parallelism at 1, or say what its parts are (splits)");
  }
  const { schema } = (stage.options ?? {}) as { schema?: unknown };
  if (schema !== undefined && !isSchema(schema)) {
    report("SCHEMA_INVALID", `schema of ${JSON.stringify(stage.name)} is no Standard Schema`, "give a schema of zod, valibot, arktype or another that has ~standard");
  }
}

function checkSink(stage: StageDraft, report: Report): readonly OperatorSpec[] {
  const sink = sinkOf(stage.body);
  if (!sink) {
    misplaced(stage, "a sink", "give what jsonl.sink(…), defineSink(…) and the like return", report);
    return [];
  }
  required(stage, "kind", typeof sink.kind === "string", sink.kind, 'a text, such as "jsonl"', report);
  required(stage, "open", isFunction(sink.open), sink.open, "a function, async open(ctx) { … }", report);
  required(stage, "guarantee", ["transactional", "idempotent", "at-least-once"].includes(sink.guarantee), sink.guarantee, '"transactional", "idempotent" or "at-least-once"', report);
  const parallelism = numberOf(stage, "parallelism");
  if (parallelism > 1 && sink.guarantee === "transactional" && sink.divisible === false) {
    report("SPLIT_MISSING", `${sink.kind} sink ${JSON.stringify(stage.name)} has parallelism ${parallelism}`, "put {partition} into its path, or leave its parallelism at 1");
  }
  return [];
}

function misplaced(stage: StageDraft, expected: string, remedy: string, report: Report): void {
  const given = `${thingOf(stage)} got`;
  if (!isPart(stage.options)) report("OPERATOR_INVALID", `${given} ${sortOf(stage.body)} where ${expected} belongs`, remedy);
  else if (stage.kind === "source") report("OPERATOR_INVALID", `${given} its options before the source`, "put them behind it");
  else report("OPERATOR_INVALID", `${given} its options behind what it does`, `put them before the ${stage.kind === "sink" ? "sink" : "operator"}`);
}

/** Whether a value is what a stage runs, which options are not. */
function isPart(value: unknown): boolean {
  return stepsOf(value) !== undefined || sinkOf(value) !== undefined || sourceOf(value) !== undefined;
}

function required(stage: StageDraft, field: string, good: boolean, value: unknown, give: string, report: Report): void {
  if (!good) report("OPTION_INVALID", `${field} of what ${thingOf(stage)} runs is ${shown(value)}`, `give ${give}`);
}

function numberOf(stage: StageDraft, option: string): number {
  const value = (stage.options as Record<string, unknown> | null | undefined)?.[option];
  return typeof value === "number" ? value : 1;
}

/** Takes the problems of one thing, with its place. */
export function reporter(problems: Problem[], where: string, site: CallSite): Report {
  return (code, message, remedy) => {
    const at = locationOf(site);
    problems.push(at === undefined ? { code, where, message, remedy } : { code, where, message, remedy, at });
  };
}
