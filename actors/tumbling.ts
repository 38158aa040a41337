import { checkOptions, millis, type Duration, type Problem } from "../runtime/index.ts";
import { aDuration, collector } from "./option-problems.ts";
import { defineWindowing, type Windowing } from "./window.ts";

/**
 * Windows of one size, one after the other, aligned to the epoch in UTC and moved by `offset`. An event at the end of a window
 * belongs to the next one.
 *
 * @example
 * tumbling("1d", { offset: "6h" })       // days that begin at six
 */
export function tumbling(size: Duration, options?: { offset?: Duration }): Windowing<"tumbling"> {
  const problems: Problem[] = [];
  checkOptions({ size, ...options }, { size: wholeMs(1), offset: wholeMs(0) }, "tumbling", "tumbling", collector(problems));
  if (size === undefined) collector(problems)("OPTION_INVALID", "size of tumbling is undefined", `give ${wholeMs(1).give}`);
  const sizeMs = millis(size) ?? 1, offsetMs = millis(options?.offset) ?? 0;
  return defineWindowing({
    size: sizeMs, problems,
    startOf(time) {
      const start = Math.floor((time - offsetMs) / sizeMs) * sizeMs + offsetMs;
      // Just before a bound the difference may be rounded up to it, where time has a fraction of a ms.
      return start > time ? start - sizeMs : start;
    },
  });
}

/** Bounds of windows are whole ms, since a window closes at the last one before its end. */
function wholeMs(least: number): { give: string; is: (value: unknown) => boolean } {
  return { give: `${aDuration(least).give}, in whole ms`, is: (value) => aDuration(least).is?.(value) === true && Number.isInteger(millis(value)) };
}
