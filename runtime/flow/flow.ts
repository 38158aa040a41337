// What an author declares a flow with. The builder only writes down what it is called with (draft.ts); when it is done, the
// whole is checked (validation.ts) and made a plan (assembly.ts). Nothing runs.
import { MillraceError } from "../event/errors.ts";
import { planFrom } from "./assembly.ts";
import { callSite } from "./call-site.ts";
import { isPromise, shown } from "./display.ts";
import { type FlowDraft, nameWithin, type StageDraft, type SubflowDraft } from "./draft.ts";
import { sinkHandleOf, streamOf } from "./handle.ts";
import { stepsOf } from "./operator.ts";
import type { FlowOptions, ProcessorOptions, SourceOptions, StageOptions } from "./options.ts";
import { withPlan } from "./plan.ts";
import { refusalOf } from "./refusal.ts";
import type { SinkActor } from "./sink.ts";
import type { SourceActor } from "./source.ts";
import type { HandleOf, Input, InputHasNoKey, Operator, Sink, SourceHandle, Stream } from "./stream.ts";
import { problemsOf } from "./validation.ts";

/** Declares the stages of one flow. Every method: name, where the events come from, options, what is done with them. */
export interface FlowBuilder {
  source<Raw, Fed = "by-itself", T = Raw>(name: string, from: SourceActor<Raw, Fed>, options?: SourceOptions<T>): SourceHandle<T, Fed>;

  processor<In, Out, P = unknown, K = InputHasNoKey>(
    name: string, from: Input<In, K>, operator: Operator<In, Out, NoInfer<K>, P>): HandleOf<Out, P>;
  processor<In, Out, P = unknown, K = InputHasNoKey>(
    name: string, from: Input<In, K>, options: ProcessorOptions, operator: Operator<In, Out, NoInfer<K>, P>): HandleOf<Out, P>;

  sink<T>(name: string, from: Input<T, unknown>, to: SinkActor<T>): Sink<T>;
  sink<T>(name: string, from: Input<T, unknown>, options: StageOptions, to: SinkActor<T>): Sink<T>;

  /** The same flow with `<name>-` before the names of its stages: hand it to a function that declares stages, to use that more than once. */
  subflow(name: string): FlowBuilder;
}

declare const exposed: unique symbol;

/** A checked definition, ready to run. `X` is what its builder returned: the handles that programs and tests may use. */
export interface Flow<out X = unknown> {
  readonly name: string;
  readonly [exposed]: X;
}

/** What a flow shows to programs and tests: its handles, each under the name of its stage (`by-region` as `byRegion`). */
export type Handles = { readonly [name: string]: Stream<unknown> | Sink<unknown> };

/** Declares a flow. Throws MillraceError (FLOW_INVALID, with all `problems`) where the definition cannot run. */
export function defineFlow<X extends Handles | void>(name: string, build: (flow: FlowBuilder) => X): Flow<X>;
export function defineFlow<X extends Handles | void>(name: string, options: FlowOptions, build: (flow: FlowBuilder) => X): Flow<X>;
export function defineFlow(name: string, ...rest: readonly unknown[]): Flow {
  const [options, build] = rest.length > 1 ? rest : [undefined, rest[0]];
  const draft: FlowDraft = { name, options, stages: [], subflows: [], site: callSite(defineFlow), closed: false };
  let returned: unknown;
  let thrown: { readonly error: unknown } | undefined;
  try {
    if (typeof build === "function") returned = build(builderOf(draft, undefined));
  } catch (error) {
    thrown = { error };
  }
  draft.closed = true;
  // It is refused below. What it rejects with later must not end the process.
  if (isPromise(returned)) Promise.resolve(returned).catch(() => {});

  const problems = problemsOf(draft, build, returned, thrown !== undefined);
  if (problems.length > 0) throw refusalOf(typeof name === "string" ? name : shown(name), problems, thrown, defineFlow);
  if (thrown) throw thrown.error;
  return withPlan({ name } as Flow, planFrom(draft));
}

function builderOf(draft: FlowDraft, subflow: SubflowDraft | undefined): FlowBuilder {
  // Arrow functions that use no `this`: an author may take the builder apart, ({ source, sink }) => { … }.
  const source = (given: unknown, body: unknown, options?: unknown): object =>
    streamOf(declare({ flow: draft, kind: "source", given, name: nameWithin(subflow, given), subflow, from: undefined, options, body, site: callSite(source) }), []);

  const processor = (given: unknown, from: unknown, ...rest: readonly unknown[]): object => {
    const [options, body] = rest.length > 1 ? rest : [undefined, rest[0]];
    const stage = declare({ flow: draft, kind: "processor", given, name: nameWithin(subflow, given), subflow, from, options, body, site: callSite(processor) });
    return streamOf(stage, stepsOf(body)?.flatMap((step) => step.outputs ?? []) ?? []);
  };

  const sink = (given: unknown, from: unknown, ...rest: readonly unknown[]): object => {
    const [options, body] = rest.length > 1 ? rest : [undefined, rest[0]];
    return sinkHandleOf(declare({ flow: draft, kind: "sink", given, name: nameWithin(subflow, given), subflow, from, options, body, site: callSite(sink) }));
  };

  const within = (given: unknown): FlowBuilder => {
    const inner: SubflowDraft = { given, name: nameWithin(subflow, given), outer: subflow, site: callSite(within) };
    refuseClosed(draft, inner.name);
    draft.subflows.push(inner);
    return builderOf(draft, inner);
  };

  const declare = (stage: StageDraft): StageDraft => {
    refuseClosed(draft, stage.name);
    draft.stages.push(stage);
    return stage;
  };
  return { source, processor, sink, subflow: within } as FlowBuilder;
}

function refuseClosed(draft: FlowDraft, name: string): void {
  if (!draft.closed) return;
  throw new MillraceError("FLOW_CLOSED", `${String(draft.name)}/${name}`, `${JSON.stringify(name)} was declared after defineFlow returned`, "Declare every stage in the builder, before it returns.");
}
