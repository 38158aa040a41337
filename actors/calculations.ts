// The calculations that there are. Sums of numbers with fractions are added in the order of arrival.
import { type Calculation, defineCalculation, measured, measureProblems } from "./calculation.ts";

type Of = (data: unknown) => number;

/** A number out of each event. */
export type Measure = <In>(of: (data: In) => number) => Calculation<In, number>;
/** One of the events. */
export type Nth = <In>() => Calculation<In, In>;
/** The event with the highest `of`, or the lowest. */
export type Extreme = <In>(of: (data: In) => number) => Calculation<In, In>;

/** How many events, or how many that pass `where`. */
export function count<In>(where?: (data: In) => boolean): Calculation<In, number> {
  return defineCalculation({
    kind: "count",
    problems: where === undefined ? [] : measureProblems("count", where),
    add: (acc: number | undefined, data: In) => (acc ?? 0) + (where === undefined || where(data) ? 1 : 0),
    result: (acc: number | undefined) => acc ?? 0,
  });
}

export const sum: Measure = (of) => measure("sum", of as Of, (acc, value) => acc + value);
export const min: Measure = (of) => measure("min", of as Of, (acc, value) => (value < acc ? value : acc));
export const max: Measure = (of) => measure("max", of as Of, (acc, value) => (value > acc ? value : acc));

/** The sum divided by the count. */
export const average: Measure = (of) => defineCalculation({
  kind: "average",
  problems: measureProblems("average", of),
  add: (acc: readonly [sum: number, count: number] | undefined, data: never) => {
    const value = measured("average", of(data));
    return acc === undefined ? [value, 1] : [acc[0] + value, acc[1] + 1];
  },
  result: (acc: readonly [sum: number, count: number] | undefined) => (acc === undefined ? undefined : acc[0] / acc[1]),
});

/** The first event in order of time; of several at one time, the first that came. */
export const first: Nth = () => nth("first", (time, before) => time < before);
/** The last event in order of time; of several at one time, the last that came. */
export const last: Nth = () => nth("last", (time, before) => time >= before);

/** The event with the highest `of`; of equal ones, the earliest. */
export const maxBy: Extreme = (of) => extreme("maxBy", of as Of, (value, before) => value > before);
/** The event with the lowest `of`; of equal ones, the earliest. */
export const minBy: Extreme = (of) => extreme("minBy", of as Of, (value, before) => value < before);

function measure<In>(kind: string, of: Of, join: (acc: number, value: number) => number): Calculation<In, number> {
  return defineCalculation({
    kind,
    problems: measureProblems(kind, of),
    add(acc: number | undefined, data: unknown) {
      const value = measured(kind, of(data));
      return acc === undefined ? value : join(acc, value);
    },
    result: (acc: number | undefined) => acc,
  });
}

type Kept<In> = readonly [time: number, data: In];

function nth<In>(kind: string, replaces: (time: number, before: number) => boolean): Calculation<In, In> {
  return defineCalculation({
    kind,
    problems: [],
    add: (acc: Kept<In> | undefined, data: In, time: number) => (acc === undefined || replaces(time, acc[0]) ? [time, data] : acc),
    result: (acc: Kept<In> | undefined) => acc?.[1],
  });
}

type Measured<In> = readonly [value: number, time: number, data: In];

function extreme<In>(kind: string, of: Of, beats: (value: number, before: number) => boolean): Calculation<In, In> {
  return defineCalculation({
    kind,
    problems: measureProblems(kind, of),
    add(acc: Measured<In> | undefined, data: In, time: number) {
      const value = measured(kind, of(data));
      if (acc === undefined || beats(value, acc[0]) || (value === acc[0] && time < acc[1])) return [value, time, data];
      return acc;
    },
    result: (acc: Measured<In> | undefined) => acc?.[2],
  });
}
