// What tumbling windows come to, key by key, by one thread: in the order of their beginnings.
export type WindowSum = { readonly key: string; readonly start: number; readonly count: number; readonly sum: number };

export function windowSums(items: readonly { readonly n: number; readonly key: string; readonly at: number }[], windowMs: number): WindowSum[] {
  const rows = new Map<string, WindowSum>();
  for (const { n, key, at } of items) {
    const start = Math.floor(at / windowMs) * windowMs, row = rows.get(`${key} ${start}`) ?? { key, start, count: 0, sum: 0 };
    rows.set(`${key} ${start}`, { ...row, count: row.count + 1, sum: row.sum + n });
  }
  return [...rows.values()].sort((a, b) => a.start - b.start);
}
