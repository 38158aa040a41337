import { defineOperator, isPromise, sortOf, type Operator, type Problem, type Schema, type Scope, type Step, type StepEnvironment } from "../runtime/index.ts";
import { afterwards } from "./cancellation.ts";
import { collector } from "./option-problems.ts";

interface Issue {
  readonly message: string;
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}
type Validated = { readonly value: unknown; readonly issues?: undefined } | { readonly issues: readonly Issue[] };

/** Issues that a dead letter tells of. */
const told = 5;

/**
 * What fits the schema goes on as the schema gives it; what does not is a dead letter that says why (SCHEMA).
 * Any Standard Schema: zod, valibot, arktype …
 */
export function validate<In, Out>(schema: Schema<Out>): Operator<In, Out> {
  const problems: Problem[] = [];
  if (!isSchema(schema)) collector(problems)("SCHEMA_INVALID", `validate got ${sortOf(schema)}, which is no Standard Schema`, "give a schema of zod, valibot, arktype or another that has ~standard");
  return defineOperator({ kind: "validate", keyed: false, problems, open: (env) => new ValidateStep(env, schema) });
}

/** Those of some makers are functions. */
function isSchema(value: unknown): boolean {
  if ((typeof value !== "object" && typeof value !== "function") || value === null) return false;
  const standard = (value as Partial<Schema<unknown>>)["~standard"];
  return typeof standard === "object" && standard !== null && standard.version === 1 && typeof standard.validate === "function";
}

class ValidateStep implements Step {
  readonly #env: StepEnvironment;
  readonly #standard: Schema<unknown>["~standard"];

  constructor(env: StepEnvironment, schema: Schema<unknown>) {
    this.#env = env;
    this.#standard = schema["~standard"];
  }

  on(data: unknown, scope: Scope): void | Promise<void> {
    const validated = this.#standard.validate(data);
    if (isPromise(validated)) return afterwards(validated, scope.ctx, (later) => this.#pass(later as Validated, data, scope));
    return this.#pass(validated as Validated, data, scope);
  }

  #pass(validated: Validated, data: unknown, scope: Scope): void | Promise<void> {
    if (validated.issues === undefined) return this.#env.next(validated.value, scope);
    return this.#env.deadLetter("SCHEMA", textOf(validated.issues), data, scope);
  }
}

function textOf(issues: readonly Issue[]): string {
  const texts = issues.slice(0, told).map(({ message, path = [] }) =>
    path.length === 0 ? message : `${path.map((part) => String(typeof part === "object" ? part.key : part)).join(".")}: ${message}`);
  return issues.length > told ? `${texts.join("; ")}; and ${issues.length - told} more` : texts.join("; ");
}
