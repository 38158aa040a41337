// An option whose value is a number, or a duration.
import { MillraceError } from "../event/errors.ts";
import { millis } from "../event/event.ts";

/** @throws MillraceError OPTION_INVALID */
export function numberOf(option: string, text: string): number {
  const number = Number(text);
  if (text.trim() === "" || !Number.isFinite(number)) throw new MillraceError("OPTION_INVALID", option, `${option} is "${text}"`, "Give a number.");
  return number;
}

/** In ms. @throws MillraceError OPTION_INVALID */
export function durationOf(option: string, text: string): number {
  const ms = millis(text);
  if (ms === undefined) throw new MillraceError("OPTION_INVALID", option, `${option} is "${text}"`, "Give a duration such as 500ms, 90s or 10m.");
  return ms;
}
