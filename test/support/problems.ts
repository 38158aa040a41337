import { stepsOf } from "../../runtime/index.ts";

/** What defineFlow would list of an operator, one line each. */
export function problemsOf(operator: unknown): readonly string[] {
  return (stepsOf(operator) ?? []).flatMap((spec) => (spec.problems ?? []).map(({ code, message, remedy }) => `${code} ${message}: ${remedy}`));
}
