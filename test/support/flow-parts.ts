// The smallest parts that a flow can be made of, for tests of definitions: nothing of them is ever opened.
import type { Test } from "uvu";
import * as assert from "uvu/assert";
import { defineFlow, type Flow, type Operator, type SinkActor, type SourceActor } from "../../runtime/index.ts";
import { MillraceError } from "../../runtime/event/errors.ts";
import { defineOperator, type OperatorSpec } from "../../runtime/flow/operator.ts";
import { type FlowPlan, planOf } from "../../runtime/flow/plan.ts";
import { defineSink, type RepeatingSink } from "../../runtime/flow/sink.ts";
import { defineSource, type PullSource } from "../../runtime/flow/source.ts";

export interface Row { id: string; time: number }

const never = () => { throw new Error("a test of definitions opens nothing"); };

export function source<T = Row>(more: Partial<PullSource<T, number>> = {}): SourceActor<T> {
  return defineSource<T, number>({ kind: "rows", guarantee: "replayable", start: 0, read: never, ...more });
}

export function sink(more: Partial<RepeatingSink<unknown>> = {}): SinkActor<unknown> {
  return defineSink<unknown, never>({ kind: "print", guarantee: "at-least-once", open: never, ...more });
}

/** A sink that only one actor can write to, as a file. */
export function file(): SinkActor<unknown> {
  return defineSink<unknown, number>({ kind: "jsonl", guarantee: "transactional", divisible: false, start: 0, open: never });
}

/** An operator of one step. */
export function step<P = unknown, K = unknown>(kind: string, more: Partial<OperatorSpec> = {}): Operator<unknown, Row, K, P> {
  return defineOperator({ kind, keyed: false, open: never, ...more });
}

/** An operator of several steps, as `pipe` makes one. */
export function steps(...specs: readonly (Partial<OperatorSpec> & { readonly kind: string })[]): Operator<unknown, Row, unknown, unknown> {
  return defineOperator(specs.map((spec) => ({ keyed: false, open: never, ...spec })));
}

export function plan(flow: Flow): FlowPlan {
  const found = planOf(flow);
  if (!found) throw new Error("this is no flow");
  return found;
}

/** defineFlow, called as from JavaScript: with anything. */
export const anyhow = defineFlow as unknown as (...given: readonly unknown[]) => Flow;

// biome-ignore lint/suspicious/noExplicitAny: this is what a builder is to JavaScript.
export type Anything = any;

/** Defines a flow around a source named "feed", as from JavaScript. */
export const around = (build: (flow: Anything, feed: Anything) => unknown, options?: unknown): Flow =>
  anyhow("f", options, (flow: Anything) => build(flow, flow.source("feed", source())));

/** Tests of mistakes: each with a name, the mistake, and all that is said of it, `[code, where, "message: remedy"]`. */
export const refusals = (test: Test) => (name: string, define: () => unknown, ...told: readonly (readonly [code: string, where: string, text: string])[]): void => {
  test(name, () => {
    const found = refusal(define).problems.map(({ code, where, message, remedy }) => [code, where, `${message}: ${remedy}`]);
    assert.equal(found, told);
  });
};

/** The error of a definition that is refused. */
export function refusal(define: () => unknown): MillraceError {
  try {
    define();
  } catch (thrown) {
    if (thrown instanceof MillraceError) return thrown;
    throw new Error(`threw something else: ${thrown}`, { cause: thrown });
  }
  throw new Error("was accepted, though it should be refused");
}
