/** What the flow of flows/numbers.ts writes, of so many numbers. */
export function squared(count: number): string {
  return Array.from({ length: count }, (_, n) => `${JSON.stringify({ n, group: n % 7, square: n * n })}\n`).join("");
}
