// The error that lists all that is wrong with a flow, laid out for a terminal.
import { asError, MillraceError, type Problem } from "../event/errors.ts";

/** `thrown`: what stopped the builder, if anything did; it may well follow from the problems. The stack begins at the caller of `callee`. */
export function refusalOf(flow: string, problems: readonly Problem[], thrown: { readonly error: unknown } | undefined, callee: (...args: never[]) => unknown): MillraceError {
  const width = (cells: readonly string[]) => Math.max(...cells.map((cell) => cell.length));
  const number = String(problems.length).length;
  const at = width(problems.map((problem) => problem.at ?? ""));
  const where = width(problems.map((problem) => problem.where));
  const listed = problems.map((problem, index) => {
    const place = at === 0 ? "" : `${(problem.at ?? "").padEnd(at)}  `;
    return `  ${String(index + 1).padStart(number)}  ${place}${problem.where.padEnd(where)}  ${problem.code}\n${" ".repeat(number + 4)}${problem.message}: ${problem.remedy}`;
  });
  if (thrown) listed.push(`  Then the builder threw: ${asError(thrown.error).message}`);
  const count = problems.length === 1 ? "1 problem" : `${problems.length} problems`;
  const error = new MillraceError("FLOW_INVALID", flow, `${count} in flow ${JSON.stringify(flow)}\n\n${listed.join("\n\n")}\n\nThe flow is refused`,
    `Mend ${problems.length === 1 ? "this" : "these"} and start again.`, thrown ? { cause: thrown.error, problems } : { problems });
  // Where nobody catches it, Node prints the error's properties below its message: the problems are in that already.
  Object.defineProperty(error, "problems", { enumerable: false });
  Error.captureStackTrace(error, callee);
  return error;
}
