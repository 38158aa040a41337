// How a value is shown in a message: short, on one line, and without running anything of it.
import { inspect } from "node:util";
import { sunkBy, waysOf } from "./handle.ts";
import { stepsOf } from "./operator.ts";
import { planOf } from "./plan.ts";
import { sinkOf } from "./sink.ts";
import { sourceOf } from "./source.ts";

/** The value itself, cut at 60 characters. */
export function shown(value: unknown): string {
  const text = typeof value === "string" ? JSON.stringify(value)
    : inspect(value, { depth: 1, breakLength: Infinity, compact: true, customInspect: false, maxArrayLength: 5 });
  return text.length <= 60 ? text : `${text.slice(0, 59)}…`;
}

/** What sort of thing the value is: "a function", "a stream", "undefined". */
export function sortOf(value: unknown): string {
  if (typeof value === "function") return "a function";
  if (typeof value !== "object" || value === null) return shown(value);
  if (waysOf(value)) return "a stream";
  if (sunkBy(value)) return "the handle of a sink";
  if (stepsOf(value)) return "an operator";
  if (sourceOf(value)) return "a source";
  if (sinkOf(value)) return "a sink";
  if (planOf(value)) return "a flow";
  if (Array.isArray(value)) return "an array";
  return isPromise(value) ? "a promise" : "an object";
}

export function isPromise(value: unknown): value is PromiseLike<unknown> {
  return typeof value === "object" && value !== null && typeof (value as { then?: unknown }).then === "function";
}
