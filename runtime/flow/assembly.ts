// Makes the plan of a draft that has no problems: edges drawn, every default of the API filled in.
import { type Duration, type Key, millis } from "../event/event.ts";
import type { FlowDraft, StageDraft } from "./draft.ts";
import { type Way, waysOf } from "./handle.ts";
import { type OperatorSpec, stepsOf } from "./operator.ts";
import type { EventTime, FlowOptions, Place, ProcessorOptions, SourceOptions, StageOptions, Supervision } from "./options.ts";
import type { EdgePlan, FlowPlan, PlacePlan, ProcessorPlan, SinkPlan, SourcePlan, StagePlan, SupervisionPlan } from "./plan.ts";
import { sinkOf } from "./sink.ts";
import { sourceOf } from "./source.ts";

export function planFrom(draft: FlowDraft): FlowPlan {
  const { description, module, supervision } = (draft.options ?? {}) as FlowOptions;
  const name = draft.name as string;
  const edges = edgesOf(draft.stages);
  const stages = draft.stages.map((stage): StagePlan => {
    const base = baseOf(stage, edges.get(stage) as StageEdges);
    if (stage.kind === "source") return sourceFrom(stage, name, base);
    return stage.kind === "processor" ? processorFrom(stage, name, base) : sinkFrom(stage, base);
  });
  return { name, ...(description === undefined ? {} : { description }), ...(module === undefined ? {} : { module }), supervision: supervisionFrom(supervision), stages };
}

interface StageEdges { readonly inputs: EdgePlan[]; readonly readers: EdgePlan[] }
type Base = Omit<SourcePlan, "kind" | "source" | "outOfOrder" | "idleAfterMs" | "type">;

function edgesOf(stages: readonly StageDraft[]): ReadonlyMap<StageDraft, StageEdges> {
  const edges = new Map<StageDraft, StageEdges>(stages.map((stage) => [stage, { inputs: [], readers: [] }]));
  const timed = needingTime(stages);
  for (const stage of stages) {
    const { inputs } = edges.get(stage) as StageEdges;
    for (const { stage: from, output, key } of inputsOf(stage)) {
      const edge: EdgePlan = {
        from: from.name, output, to: stage.name, input: 0, index: inputs.length, eventTime: timed.has(stage),
        ...(key === undefined ? {} : { key: key.by as (data: unknown) => Key }),
      };
      inputs.push(edge);
      edges.get(from)?.readers.push(edge);
    }
  }
  return edges;
}

/** The stages that need event time, or lead to one that does. From the last to the first: a stage is read only by later ones. */
function needingTime(stages: readonly StageDraft[]): ReadonlySet<StageDraft> {
  const timed = new Set<StageDraft>();
  for (const stage of stages.toReversed()) {
    const ordered = (stage.options as StageOptions | undefined)?.order === "time";
    if (ordered || stepsOf(stage.body)?.some((step) => step.eventTime)) timed.add(stage);
    if (timed.has(stage)) for (const way of inputsOf(stage)) timed.add(way.stage);
  }
  return timed;
}

const inputsOf = (stage: StageDraft): readonly Way[] => (waysOf(stage.from) ?? []) as readonly Way[];

function baseOf(stage: StageDraft, edges: StageEdges): Base {
  const { parallelism = 1, supervision, place } = optionsOf(stage);
  return { name: stage.name, parallelism: typeof parallelism === "number" ? parallelism : parallelism.min, supervision: supervisionFrom(supervision), place: placeFrom(place), ...edges, outputs: stepsOf(stage.body)?.flatMap((step) => step.outputs ?? []) ?? [] };
}

const optionsOf = (stage: StageDraft): ProcessorOptions => (stage.options ?? {}) as ProcessorOptions;

function sourceFrom(stage: StageDraft, flow: string, base: Base): SourcePlan {
  const source = sourceOf(stage.body) as SourcePlan["source"];
  const options = (stage.options ?? {}) as SourceOptions<unknown>;
  const time: EventTime<unknown> = typeof options.time === "function" ? { of: options.time } : (options.time ?? {});
  const ends = source.guarantee === "replayable" && source.ends === true;
  const { outOfOrder = ends ? "any" : 0, idleAfter = "1m" } = time;
  return {
    ...base,
    kind: "source",
    source,
    ...(time.of === undefined ? {} : { time: time.of }),
    outOfOrder: outOfOrder === "any" ? "any" : ms(outOfOrder),
    idleAfterMs: idleAfter === "never" ? Infinity : ms(idleAfter),
    ...(options.schema === undefined ? {} : { schema: options.schema }),
    type: options.type ?? `${flow}.${stage.name}`,
  };
}

function receivingFrom(stage: StageDraft): Pick<SinkPlan, "order" | "maxFrames" | "poison"> {
  const { order = "arrival", mailbox, poison } = optionsOf(stage);
  return {
    order,
    maxFrames: mailbox?.maxFrames ?? 4_096,
    poison: { after: poison?.after ?? 3, deadlineMs: ms(poison?.deadline ?? "1m"), park: poison?.park ?? "event" },
  };
}

function processorFrom(stage: StageDraft, flow: string, base: Base): ProcessorPlan {
  const { isolate, parallelism } = optionsOf(stage), follows = typeof parallelism === "object" ? { min: parallelism.min, max: parallelism.max, targetLagMs: ms(parallelism.targetLag) } : undefined;
  return { ...base, ...receivingFrom(stage), kind: "processor", ...(isolate === undefined ? {} : { isolate }), ...(follows === undefined ? {} : { follows }), steps: stepsOf(stage.body) as readonly OperatorSpec[], type: `${flow}.${stage.name}` };
}

function sinkFrom(stage: StageDraft, base: Base): SinkPlan {
  return { ...base, ...receivingFrom(stage), kind: "sink", sink: sinkOf(stage.body) as SinkPlan["sink"] };
}

function placeFrom({ label = [], spread = false, standby = 0 }: Place = {}): PlacePlan {
  return { labels: [...new Set([label].flat())], spread, standby };
}

/** A bound that is left out gives way to the one that is given. */
function supervisionFrom({ strategy = "one_for_one", restart = "permanent", intensity = 5, period = "1m", shutdown = "30s", backoff = {} }: Supervision = {}): SupervisionPlan {
  const least = backoff.min === undefined ? Math.min(100, ms(backoff.max ?? "30s")) : ms(backoff.min);
  const most = backoff.max === undefined ? Math.max(30_000, least) : ms(backoff.max);
  return {
    strategy, restart, intensity, periodMs: ms(period), shutdownMs: ms(shutdown),
    backoff: { minMs: least, maxMs: most, factor: backoff.factor ?? 2, jitter: backoff.jitter ?? 0.2 },
  };
}

const ms = (duration: Duration): number => millis(duration) as number;
