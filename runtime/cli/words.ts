// Numbers, times and sizes as people read them.
import prettyBytes from "pretty-bytes";
import prettyMs from "pretty-ms";

export const count = (n: number): string => Math.round(n).toLocaleString("en-US");

/** "1,234/s"; below ten with a decimal. */
export const rate = (perSecond: number): string => (perSecond > 0 && perSecond < 10 ? `${perSecond.toFixed(1)}/s` : `${count(perSecond)}/s`);

export const duration = (ms: number): string => prettyMs(Math.max(0, Math.round(ms)), { secondsDecimalDigits: 1, hideSeconds: ms >= 3_600_000 });

/** "12m ago": how long, roughly. */
export const ago = (ms: number): string => `${prettyMs(Math.max(0, Math.round(ms)), { compact: true })} ago`;

export const bytes = (n: number): string => prettyBytes(n, { binary: true, maximumFractionDigits: 1 });

/** "1 actor", "4 actors". */
export const several = (n: number, thing: string): string => `${count(n)} ${thing}${n === 1 ? "" : "s"}`;

/** "a, b, c and 4 more". */
export function listed(names: readonly string[], most = 5): string {
  return names.length <= most ? names.join(", ") : `${names.slice(0, most).join(", ")} and ${names.length - most} more`;
}
