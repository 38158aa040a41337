import { defineOperator, sortOf, stepsOf, type Operator, type OperatorSpec, type Problem } from "../runtime/index.ts";
import { collector } from "./option-problems.ts";

/**
 * One operator out of up to eight; pipes nest. An operator that is `undefined` is left out.
 *
 * @example
 * pipe(map((line: string) => line.trim()), filter((line) => line !== ""))
 */
export function pipe<In, A, K = unknown, PA = unknown, B = A, PB = unknown, C = B, PC = unknown, D = C, PD = unknown,
  E = D, PE = unknown, F = E, PF = unknown, G = F, PG = unknown, H = G, PH = unknown>(
  a: Operator<In, A, K, PA>, b?: Operator<A, B, K, PB>, c?: Operator<B, C, K, PC>, d?: Operator<C, D, K, PD>,
  e?: Operator<D, E, K, PE>, f?: Operator<E, F, K, PF>, g?: Operator<F, G, K, PG>, h?: Operator<G, H, K, PH>,
): Operator<In, H, K, PA & PB & PC & PD & PE & PF & PG & PH> {
  const given = [a, b, c, d, e, f, g, h];
  return defineOperator(given.flatMap((operator, i) => (operator === undefined && i > 0 ? [] : stepsOf(operator) ?? [noOperator(operator, i + 1)])));
}

/** Stands where something else was given, so that defineFlow can say so. */
function noOperator(given: unknown, place: number): OperatorSpec {
  const problems: Problem[] = [];
  collector(problems)("OPERATOR_INVALID", `pipe got ${sortOf(given)} as its operator ${place}`,
    typeof given === "function" ? "wrap it, map(fn), or call it" : "give what map(…), aggregate(…) and the like return");
  return { kind: "pipe", keyed: false, problems, open: () => ({ on() {} }) };
}
