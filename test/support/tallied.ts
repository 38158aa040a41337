// What the flow in flows/tallies.ts comes to.

/** Its output for so many events, as a single thread would have written it. */
export function tallied(count: number): string {
  const counts = new Map<string, number>(), lines: string[] = [];
  for (let n = 0; n < count; n++) {
    const key = `k${(n * 7_919) % 1_000}`, its = (counts.get(key) ?? 0) + 1;
    counts.set(key, its);
    lines.push(JSON.stringify({ key, count: its, last: n }));
  }
  return `${lines.join("\n")}\n`;
}
