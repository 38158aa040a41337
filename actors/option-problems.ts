// What is wrong with an operator's options, for JavaScript and for what types cannot say. Found when the operator is made and
// kept in its description: defineFlow lists the problems of a whole flow at once.
import { checkOptions, millis, sortOf, type Problem, type Report, type Table } from "../runtime/index.ts";

/** Longer than a timer of Node can wait: one set to more fires at once. */
const longestWait = 24 * 86_400_000;

type Field = Table[string];

const atLeast = (least: number, most = Infinity) => (value: unknown) => {
  const ms = millis(value);
  return ms !== undefined && ms >= least && ms <= most;
};

export const aFunction = (shape: string): Field => ({ give: `a function, ${shape}`, is: (value) => typeof value === "function" });
export const aDuration = (least: number): Field => ({ give: `a duration such as "10s"${least > 0 ? ", 1ms or more" : ""}`, is: atLeast(least) });
export const aWait: Field = { give: 'a duration such as "10s", from 1ms to 24d', is: atLeast(1, longestWait) };
export const aBoolean: Field = { give: "true or false", is: (value) => typeof value === "boolean" };
export const aWhole = (least: number, most: number): Field => ({
  give: `a whole number from ${least.toLocaleString("en")} to ${most.toLocaleString("en")}`,
  is: (value) => Number.isInteger(value) && (value as number) >= least && (value as number) <= most,
});

/** What an operator with versioned state takes beside its own options. */
export const versioned: Table = { version: aWhole(1, 1_000_000), migrate: aFunction("(state, from) => …") };

/** Collects problems. defineFlow fills in where. */
export function collector(problems: Problem[]): Report {
  return (code, message, remedy) => void problems.push({ code, where: "", message, remedy });
}

/** Problems of an operator whose one argument is its options. */
export function optionProblems(kind: string, options: unknown, table: Table, required: readonly string[]): Problem[] {
  const problems: Problem[] = [];
  const report = collector(problems);
  if (typeof options !== "object" || options === null) {
    report("OPTION_INVALID", `${kind} got ${sortOf(options)} where its options belong`, `give an object with ${required.join(", ")}`);
    return problems;
  }
  checkOptions(options, table, kind, kind, report);
  for (const name of required) {
    if ((options as Record<string, unknown>)[name] === undefined) report("OPTION_INVALID", `${kind} has no ${name}`, `give ${table[name]?.give ?? "it"}`);
  }
  return problems;
}

/** Problems of an operator whose first argument is a function. */
export function functionProblems(kind: string, given: unknown, shape: string): Problem[] {
  const problems: Problem[] = [];
  if (typeof given !== "function") collector(problems)("OPTION_INVALID", `${kind} got ${sortOf(given)} where a function belongs`, `give ${shape}`);
  return problems;
}
