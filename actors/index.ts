// The ready-made operators, sources and sinks: what `import … from "millrace/actors"` gives.

// Operators
export { aggregate, type Aggregated } from "./aggregate.ts";
export { branch } from "./branch.ts";
export type { Calculation } from "./calculation.ts";
export { average, count, first, last, max, maxBy, min, minBy, sum } from "./calculations.ts";
export type { CallOptions } from "./call.ts";
export { filter } from "./filter.ts";
export { flatMap } from "./flat-map.ts";
export { map } from "./map.ts";
export { pipe } from "./pipe.ts";
export { reduce } from "./reduce.ts";
export { stateful } from "./stateful.ts";
export { summarize } from "./summarize.ts";
export { tumbling } from "./tumbling.ts";
export { validate } from "./validate.ts";
export type { Of, OpenWindows, TimeWindow, Windowing } from "./window.ts";

// Sources and sinks
export { collect } from "./collect.ts";
export { csv } from "./csv.ts";
export { generate, type GenerateOptions } from "./generate.ts";
export { json } from "./json.ts";
export { jsonl } from "./jsonl.ts";
export { stdout } from "./stdout.ts";
export { text } from "./text.ts";
