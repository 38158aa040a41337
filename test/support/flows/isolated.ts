// Numbers through a stage in threads of its own and one in the node's, each into a file. TROUBLE, at number 50 of the isolated stage:
// "spin" (never comes back), "memory" (takes all there is), "exit" (ends the process, it thinks), "throw" until the file MENDED is there; ""
// nothing. PARK: poison.park. RATE: events a second.
import { existsSync } from "node:fs";
import { defineFlow, type Emits } from "millrace";
import { generate, jsonl, map, stateful } from "millrace/actors";

const { TROUBLE = "", OUT = "isolated", COUNT = "200", DEADLINE = "400", MENDED = "", PARK = "event", RATE = "Infinity" } = process.env;

function trouble(n: number): void {
  if (n !== 50) return;
  if (TROUBLE === "throw" && !existsSync(MENDED)) throw new Error("no use for 50");
  if (TROUBLE === "exit") process.exit(3);
  if (TROUBLE === "spin") for (;;);
  if (TROUBLE === "memory") for (const held: number[][] = []; ; ) held.push(Array.from({ length: 1_000_000 }, (_, i) => i + held.length));
}

export default defineFlow("isolated", (flow) => {
  const feed = flow.source("feed", generate({ count: Number(COUNT), batch: 10, rate: Number(RATE), make: (n) => ({ n, key: `k${n % 5}` }) }));
  const risky = flow.processor("risky", feed.keyBy(({ key }) => key), { parallelism: 2, isolate: "worker", poison: { deadline: Number(DEADLINE), park: PARK as "event" | "key" }, supervision: { backoff: { min: 1, max: 20 } } }, stateful({
    initial: () => 0,
    on: (count: number, { n, key }: { n: number; key: string }, ctx: Emits<{ n: number; key: string; count: number }>) => {
      trouble(n);
      ctx.emit({ n, key, count: count + 1 });
      return count + 1;
    },
  }));
  const plain = flow.processor("plain", feed, map(({ n }) => ({ n, square: n * n })));
  flow.sink("risky-out", risky, jsonl.sink(`${OUT}-risky.jsonl`));
  flow.sink("plain-out", plain, jsonl.sink(`${OUT}-plain.jsonl`));
});
