// Which options there are and what they may be, as tables, and the one walk that holds given options to them.
import { millis } from "../event/event.ts";
import { shown } from "./display.ts";
import { nearest } from "./name.ts";

/** Takes one problem. Where it is, the caller knows. */
export type Report = (code: string, message: string, remedy: string) => void;

interface Field {
  /** What it may be, after "give". */
  readonly give: string;
  readonly is?: (value: unknown) => boolean;
  /** The options within it, where it may be an object. */
  readonly fields?: Table;
}

export type Table = Readonly<Record<string, Field>>;

/** Longer than a timer of Node can wait; one set to more fires at once. */
const longest = 24 * 86_400_000;

const within = (least: number, most: number) => (value: unknown) => typeof value === "number" && value >= least && value <= most;
const whole = (least: number, most: number): Field => ({
  give: `a whole number from ${least.toLocaleString("en")} to ${most.toLocaleString("en")}`,
  is: (value) => Number.isInteger(value) && within(least, most)(value),
});
const oneOf = (...values: readonly string[]): Field => ({
  give: values.map((value) => JSON.stringify(value)).join(" or ").replace(/ or (?=.* or )/g, ", "),
  is: (value) => values.includes(value as string),
});
const duration = (least: number, most = Infinity, or?: string): Field => ({
  give: `a duration such as "10s"${least > 0 ? ", 1ms or more" : ""}${most < Infinity ? ", at most 24d" : ""}${or ? `, or "${or}"` : ""}`,
  is: (value) => (or !== undefined && value === or) || within(least, most)(millis(value)),
});
const text: Field = { give: "a text", is: (value) => typeof value === "string" && value !== "" };
export const isFunction = (value: unknown): boolean => typeof value === "function";

const supervision: Table = {
  strategy: oneOf("one_for_one", "one_for_all", "rest_for_one"),
  restart: oneOf("permanent", "transient", "temporary"),
  intensity: whole(0, 1_000_000),
  period: duration(1),
  backoff: {
    give: "an object, such as { min: \"100ms\", max: \"30s\" }",
    fields: {
      min: duration(0, longest),
      max: duration(0, longest),
      factor: { give: "a number from 1 to 1,000", is: within(1, 1_000) },
      jitter: { give: "a number from 0 to 1", is: within(0, 1) },
    },
  },
  shutdown: duration(0, longest),
};

/** What a node may offer, and an actor ask for. */
export const labelForm = /^[A-Za-z0-9][A-Za-z0-9._=/-]{0,62}$/;
const mostLabels = 64;
const isLabel = (value: unknown): boolean => typeof value === "string" && labelForm.test(value);

const place: Table = {
  label: {
    give: `a label such as "zone=a", or a list of 1 to ${mostLabels}: each 1 to 63 letters, digits and . _ = / -`,
    is: (value) => isLabel(value) || (Array.isArray(value) && value.length >= 1 && value.length <= mostLabels && value.every(isLabel)),
  },
  spread: { give: "true or false", is: (value) => typeof value === "boolean" },
  standby: { give: "0, 1 or 2", is: (value) => value === 0 || value === 1 || value === 2 },
};

const run: Table = {
  parallelism: whole(1, 1_024),
  supervision: { give: "an object, such as { restart: \"transient\" }", fields: supervision },
  place: { give: "an object, such as { label: \"zone=a\", spread: true, standby: 1 }", fields: place },
};

export const stageTable: Table = {
  ...run,
  order: oneOf("arrival", "time"),
  mailbox: { give: "an object, such as { maxFrames: 4096 }", fields: { maxFrames: whole(1, 1_000_000) } },
  poison: {
    give: "an object, such as { after: 3 }",
    fields: { after: whole(1, 1_000), deadline: duration(1, longest), park: oneOf("event", "key") },
  },
};

const mostActors = 1_024;
const isActors = within(1, mostActors);

export const processorTable: Table = {
  ...stageTable,
  parallelism: {
    give: `a whole number from 1 to ${mostActors.toLocaleString("en")}, or a range that follows the lag, such as { min: 2, max: 16, targetLag: "5s" }`,
    is: (value) => Number.isInteger(value) && isActors(value),
    fields: { min: whole(1, mostActors), max: whole(1, mostActors), targetLag: { ...duration(100, longest), give: "a duration such as \"5s\", 100ms or more, at most 24d" } },
  },
  isolate: oneOf("worker"),
};

export const sourceTable: Table = {
  ...run,
  time: {
    give: "a function, (data) => data.time, or an object, such as { outOfOrder: \"10s\" }",
    is: isFunction,
    fields: {
      of: { give: "a function, (data) => data.time", is: isFunction },
      outOfOrder: duration(0, Infinity, "any"),
      idleAfter: duration(1, Infinity, "never"),
    },
  },
  // Checked apart from the others: it has a code of its own.
  schema: { give: "a schema", is: () => true },
  type: text,
};

export const flowTable: Table = {
  description: text,
  module: { give: "import.meta.url", is: (value) => typeof value === "string" && URL.canParse(value) },
  supervision: { give: "an object, such as { strategy: \"rest_for_one\" }", fields: supervision },
};

/** Holds options to a table. `thing` is whose they are, such as `stage "felt"`; `name` how it goes behind "of". */
export function checkOptions(options: unknown, table: Table, thing: string, name: string, report: Report): void {
  if (options === undefined) return;
  if (isObject(options)) checkFields(options, table, "", thing, name, report);
  else report("OPTION_INVALID", `the options of ${name} are ${shown(options)}`, "give an object, such as { parallelism: 4 }, or leave them out");
}

function checkFields(options: Readonly<Record<string, unknown>>, table: Table, path: string, thing: string, name: string, report: Report): void {
  const known = Object.keys(table);
  for (const [option, value] of Object.entries(options)) {
    if (value === undefined) continue;
    if (!Object.hasOwn(table, option)) {
      const meant = nearest(option, known);
      report("OPTION_UNKNOWN", `${thing} has no option ${JSON.stringify(path + option)}`,
        meant === undefined ? `there are ${known.map((other) => path + other).join(", ")}` : `did you mean ${JSON.stringify(path + meant)}?`);
      continue;
    }
    const field = table[option] as Field;
    if (field.fields && isObject(value)) checkFields(value, field.fields, `${path}${option}.`, thing, name, report);
    else if (!field.is?.(value)) report("OPTION_INVALID", `${path}${option} of ${name} is ${shown(value)}`, `give ${field.give}`);
  }
  const { min, max } = options;
  if (path === "parallelism.") checkRange(options, name, report);
  if (path.endsWith("backoff.") && (millis(min) ?? 0) > (millis(max) ?? Infinity)) {
    report("OPTION_INVALID", `${path}min of ${name} is ${shown(min)} and above its max, ${shown(max)}`, "give a min that is not above max");
  }
}

/** What its fields are, each for itself, is told apart from this. */
function checkRange({ min, max, targetLag }: Readonly<Record<string, unknown>>, name: string, report: Report): void {
  const missing = Object.entries({ min, max, targetLag }).filter(([, value]) => value === undefined).map(([option]) => option);
  if (missing.length > 0) report("OPTION_INVALID", `parallelism of ${name} is a range without ${missing.join(" and ")}`, "give all three, such as { min: 2, max: 16, targetLag: \"5s\" }, or a number");
  if (typeof min === "number" && typeof max === "number" && min > max) report("OPTION_INVALID", `parallelism.min of ${name} is ${shown(min)} and above its max, ${shown(max)}`, "give a min that is not above max");
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
