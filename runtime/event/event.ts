// What an event is, and how lengths of time, sizes and points in time are written. The lowest layer: imports nothing.

/** A length of time: milliseconds, or a number with its unit, as in "500ms", "10s", "5m", "6h", "30d". */
export type Duration = number | `${number}${"ms" | "s" | "m" | "h" | "d"}`;

/** A size: bytes, or a number with its unit, as in "64KiB", "1GiB". */
export type Bytes = number | `${number}${"B" | "KiB" | "MiB" | "GiB" | "TiB"}`;

/** A point in time: milliseconds since the epoch, a Date, or an ISO 8601 text with its zone. */
export type Time = number | Date | string;

/** What events are grouped by. A text, or a safe integer; at most 512 bytes as text. */
export type Key = string | number;

/** What is known of an event beside its data. Maps 1:1 to the attributes of CloudEvents. */
export interface EventInfo {
  /** Unique and stable: the same event that is sent again after a crash has the same id. */
  readonly id: string;
  /** What kind of fact it is. Default `<flow>.<stage>`. */
  readonly type: string;
  /** Event time, in ms since the epoch. */
  readonly time: number;
  /** The key of the last keyed edge that the event crossed, or the one that its source gave it. */
  readonly key?: Key;
  /** Address of the actor that made it, such as `fraud/velocity/3`. */
  readonly source: string;
}

export interface FlowEvent<out T = unknown> extends EventInfo {
  readonly data: T;
}

const durations = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
const sizes = { B: 1, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3, TiB: 1024 ** 4 } as const;

/** Milliseconds of a duration; `undefined` where it is none (negative, not finite, unknown unit). */
export function millis(duration: unknown): number | undefined {
  return quantity(duration, durations, /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/);
}

/** Bytes of a size; `undefined` where it is none. */
export function bytes(size: unknown): number | undefined {
  return quantity(size, sizes, /^(\d+(?:\.\d+)?)(B|KiB|MiB|GiB|TiB)$/);
}

function quantity(value: unknown, units: Readonly<Record<string, number>>, form: RegExp): number | undefined {
  if (typeof value === "number") return Number.isFinite(value) && value >= 0 ? value : undefined;
  if (typeof value !== "string") return undefined;
  const [, amount, unit] = form.exec(value) ?? [];
  return amount === undefined ? undefined : Number(amount) * (units[unit as string] as number);
}

/** Milliseconds since the epoch of a point in time; `undefined` where it is none. A text needs its zone (`Z` or `+01:00`) unless it is a bare date (UTC). */
export function instant(time: unknown): number | undefined {
  if (typeof time === "number") return Number.isFinite(time) ? time : undefined;
  if (time instanceof Date) return instant(time.getTime());
  if (typeof time !== "string" || !/^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d))?$/.test(time)) return undefined;
  return instant(Date.parse(time));
}

/** Of every engine since Node 20; the types of ES2023 do not know it. */
type Text = string & { isWellFormed(): boolean };

/**
 * Whether a value may be a key: a text of at most 512 bytes, or a safe integer. A text with half of a surrogate pair is none: all
 * halves are the same bytes, and so would be keys that differ in them alone.
 */
export function isKey(value: unknown): value is Key {
  if (typeof value === "number") return Number.isSafeInteger(value);
  return typeof value === "string" && (value.length <= 170 || (value.length <= 512 && Buffer.byteLength(value) <= 512)) && (value as Text).isWellFormed();
}
