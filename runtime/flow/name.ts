// Names of flows, stages and sub-flows, and the name that was probably meant.

/** 1 to 64 of a–z, 0–9 and -, a letter first: so a name is its own subject token and folder. */
export function isName(value: unknown): value is string {
  return typeof value === "string" && /^[a-z][a-z0-9-]{0,63}$/.test(value);
}

/** The name of a stage as a JavaScript name: `by-region` is `byRegion`. */
export function camelCase(name: string): string {
  return name.replace(/-+([a-z0-9]?)/g, (_, next: string) => next.toUpperCase());
}

/** The one of `names` that is nearest to `name`, if any is near enough to have been meant. */
export function nearest(name: string, names: readonly string[]): string | undefined {
  let best: string | undefined;
  let least = Math.min(3, Math.ceil(name.length / 3)) + 1;
  for (const candidate of names) {
    const distance = edits(name.toLowerCase(), candidate.toLowerCase(), least);
    if (distance < least) [best, least] = [candidate, distance];
  }
  return best;
}

/** Characters to insert, remove or replace to make the one of the other (Levenshtein); `limit` where it is as many or more. */
function edits(from: string, to: string, limit: number): number {
  if (Math.abs(from.length - to.length) >= limit) return limit;
  let row = Array.from({ length: to.length + 1 }, (_, column) => column);
  for (let i = 1; i <= from.length; i++) {
    const next = [i];
    for (let j = 1; j <= to.length; j++) {
      next.push(Math.min((row[j] as number) + 1, (next[j - 1] as number) + 1, (row[j - 1] as number) + (from[i - 1] === to[j - 1] ? 0 : 1)));
    }
    row = next;
  }
  return Math.min(row[to.length] as number, limit);
}
