// The form of what a record holds, looked at before it is used: a value from the log or from a disk is never trusted (P25). What has
// another form is refused whole; nothing of it is applied.
import { MillraceError } from "../event/errors.ts";
import { isKey } from "../event/event.ts";
import { isTerm } from "../event/term.ts";
import type { Body, CommitRecord } from "./record.ts";

type Form = (value: unknown) => boolean;

const isCount: Form = (value) => Number.isSafeInteger(value) && (value as number) >= 0;
const isNumber: Form = (value) => typeof value === "number" && !Number.isNaN(value);
const isText: Form = (value) => typeof value === "string";
const isBytes: Form = (value) => value instanceof Uint8Array;
const isFlag: Form = (value) => typeof value === "boolean";
const isAny: Form = () => true;
const orNull = (form: Form): Form => (value) => value === null || form(value);
const listOf = (form: Form): Form => (value) => Array.isArray(value) && value.every(form);
/** A list of exactly these, or of the first `least` of them and more. */
const row = (forms: readonly Form[], least = forms.length): Form => (value) => {
  if (!Array.isArray(value) || value.length < least || value.length > forms.length) return false;
  for (let i = 0; i < value.length; i++) if (!(forms[i] as Form)(value[i])) return false;
  return true;
};
const object = (forms: Readonly<Record<string, Form>>): Form => {
  const names = Object.entries(forms);
  return (value) => typeof value === "object" && value !== null && names.every(([name, form]) => form((value as Record<string, unknown>)[name]));
};

const isTarget: Form = (value) => isText(value) || row([isText, isText, isCount, isCount])(value);
const isShape: Form = orNull(listOf(isText));
const isHeld: Form = (value) => {
  if (!row([isText, isText, isCount, isCount, isCount, Array.isArray, isShape, orNull(isText)])(value)) return false;
  const [, , , , , its, shape] = value as [unknown, unknown, unknown, unknown, unknown, unknown[], unknown, unknown];
  if (!isNumber(its[0]) || !isNumber(its[1]) || !orNull(isKey)(its[2])) return false;
  return shape === null ? its.length === 6 : its.length === 5 + (shape as string[]).length;
};
const isEntries: Form = (value) => value === undefined || listOf(row([isBytes, orNull(isBytes)]))(value);
const isChunks = listOf(row([isCount, isCount, isCount]));
const isDivision: Form = row([isText, isCount]);
const inputs = listOf(row([isCount, isCount, orNull(isBytes), orNull(isText), isCount]));
const cursors = listOf(row([isCount, isText, isText, isCount, orNull(isTerm), isCount, orNull(isTerm), listOf(row([isCount, isTerm]))]));

const forms: Readonly<Record<Exclude<keyof Body, "node" | "k">, Form>> = {
  inputs, cursors,
  channels: listOf(row([isCount, isText, isText, orNull(isNumber), isFlag, isFlag, isDivision], 6)),
  floors: listOf(row([isCount, isText, isText])),
  own: object({ watermark: orNull(isNumber), ended: isFlag, caught: isFlag, sealed: (value) => value === undefined || isDivision(value) }),
  tries: object({ k: isCount, events: listOf(row([isText, isCount])) }),
  routing: listOf(row([isText, isText, isCount])),
  refused: listOf(row([isText, isText])),
  state: listOf(row([isCount, isCount, isKey, orNull(isNumber), isAny], 4)),
  timers: listOf(row([isCount, isKey, isText, isNumber, isFlag, isFlag], 3)),
  waiting: listOf(row([isText, row([isNumber, isCount, isHeld])], 1)),
  held: listOf(row([isBytes, isHeld], 1)),
  out: listOf(row([isTarget, isCount, isBytes])),
  sent: listOf(row([isTarget, isCount, isTerm])),
  settled: listOf(row([isTarget, isCount, isCount])),
  source: listOf(row([isText, isAny, isFlag, orNull(isNumber)])),
  sink: object({ number: isCount, events: isCount, written: isFlag, from: object({ inputs, cursors }) }),
  targets: listOf(row([isCount, isCount, isAny])),
  counts: object({ in: isCount, out: isCount, late: isCount, deadLetters: isCount, settled: (value) => value === undefined || isCount(value) }),
  snapshot: object({ n: isCount, entries: isEntries, chunks: isChunks }),
  seal: object({ generation: isText, sections: listOf(object({ entries: isEntries, chunks: isChunks })) }),
  part: object({ index: isCount, count: isCount, bytes: isBytes }),
};
const fields = Object.entries(forms) as readonly (readonly [keyof typeof forms, Form])[];

/** The field of a body that has a wrong form; `undefined`: none. */
export function wrongField(body: Body): string | undefined {
  if (body.k !== undefined && !isCount(body.k)) return "k";
  for (const [name, form] of fields) if (body[name] !== undefined && !form(body[name])) return name;
  return undefined;
}

/** @throws MillraceError BYTES_REFUSED */
export function checkBody(where: string, { n, body }: Pick<CommitRecord, "n" | "body">): void {
  const wrong = wrongField(body);
  if (wrong !== undefined) throw new MillraceError("BYTES_REFUSED", where, `Record ${n} of ${where} has a field "${wrong}" of another form`, "Look at who publishes to the subjects of actors; only nodes may. Bring the server's store back, or start anew with --fresh.");
}
