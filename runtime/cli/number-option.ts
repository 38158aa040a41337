// An option whose value is a number.
import { MillraceError } from "../event/errors.ts";

/** @throws MillraceError OPTION_INVALID */
export function numberOf(option: string, text: string): number {
  const number = Number(text);
  if (text.trim() === "" || !Number.isFinite(number)) throw new MillraceError("OPTION_INVALID", option, `${option} is "${text}"`, "Give a number.");
  return number;
}
