// Numbers into a file, with handlers that make trouble. TROUBLE: "stumble" (throws once at each hundredth), "dead" (gives each tenth up),
// "hang" (the handler of number 50 is never done), "spin" (it stands still for a second and a half), "park" (the sink throws always), "stdout" (the sink is the standard output).
import { defineFlow, defineSink, TerminalError } from "millrace";
import { generate, jsonl, map, stdout } from "millrace/actors";

const { TROUBLE = "", TROUBLE_OUT = "trouble.jsonl" } = process.env;
const stumbled = new Set<number>();
const quick = { backoff: { min: 1, max: 10 } } as const;

async function handle({ n }: { n: number }): Promise<{ n: number }> {
  if (TROUBLE === "stumble" && n % 100 === 99 && !stumbled.has(n)) {
    stumbled.add(n);
    throw new Error(`stumbled over ${n}`);
  }
  if (TROUBLE === "dead" && n % 10 === 3) throw new TerminalError(`no use for ${n}`);
  if (TROUBLE === "hang" && n === 50) {
    console.error("this handler hangs");
    await new Promise(() => {});
  }
  if (TROUBLE === "spin" && n === 50) standStill(1_500);
  return { n };
}

function standStill(ms: number): void {
  for (const until = performance.now() + ms; performance.now() < until; );
}

const broken = defineSink<{ n: number }, never>({ kind: "broken", guarantee: "at-least-once", open: async () => ({ write: () => Promise.reject(new Error("no such table")) }) });

export default defineFlow("trouble", { supervision: { intensity: 0 } }, (flow) => {
  const feed = flow.source("feed", generate({ count: 400, make: (n) => ({ n }) }));
  const each = flow.processor("each", feed, { supervision: quick }, map(handle));
  flow.sink("out", each, { supervision: { ...quick, intensity: 1 } }, TROUBLE === "park" ? broken : TROUBLE === "stdout" ? stdout() : jsonl.sink(TROUBLE_OUT));
});
