// What a calculation of `summarize` is: to users a type, behind it an accumulator that is plain data and replaced, never changed.
import { sortOf, TerminalError, type Problem } from "../runtime/index.ts";
import { collector } from "./option-problems.ts";

declare const calculation: unique symbol;

/** A ready-made calculation for `summarize`. */
export interface Calculation<in In, out Out> {
  readonly [calculation]: { in: (data: In) => void; out: Out };
}

export interface Calculator<In = any, A = any> {
  readonly kind: string;
  readonly problems: readonly Problem[];
  /** The accumulator with one more event at `time`; `undefined` is the one before the first. */
  add(acc: A | undefined, data: In, time: number): A;
  result(acc: A | undefined): unknown;
}

const definition = Symbol.for("millrace.calculation");

export function defineCalculation<In, Out>(calculator: Calculator): Calculation<In, Out> {
  return { [definition]: calculator } as unknown as Calculation<In, Out>;
}

/** The calculator of a calculation; `undefined` where the value is none. */
export function calculatorOf(value: unknown): Calculator | undefined {
  return typeof value === "object" && value !== null ? (value as { [definition]?: Calculator })[definition] : undefined;
}

/** Problems of a calculation that takes a function. */
export function measureProblems(kind: string, of: unknown): readonly Problem[] {
  const problems: Problem[] = [];
  if (typeof of !== "function") collector(problems)("OPTION_INVALID", `${kind} got ${sortOf(of)} where a function belongs`, `give ${kind}((data) => data.amount)`);
  return problems;
}

/** Checked, because one NaN in a sum stays there for good. @throws TerminalError where it is no number: that event is given up, the others count. */
export function measured(kind: string, value: unknown): number {
  if (typeof value === "number" && value === value) return value;
  throw new TerminalError(`${kind} of summarize got ${sortOf(value)} where a number belongs`);
}
