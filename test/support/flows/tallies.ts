// Events of a thousand keys, counted one by one, in order into a file. TALLIES: how many; TALLIES_RATE: a second; TALLIES_OUT: the file; HURRY: as fast as it goes once that file is there.
import { defineFlow } from "millrace";
import { aggregate, jsonl, map } from "millrace/actors";
import { unhurried } from "../unhurried.ts";

const { HURRY, TALLIES = "10000", TALLIES_RATE, TALLIES_OUT = "tallies.jsonl" } = process.env;
interface Tallied { n: number; key: string }

export default defineFlow("tallies", (flow) => {
  const feed = flow.source("feed", unhurried({ count: Number(TALLIES), ...(TALLIES_RATE === undefined ? {} : { rate: Number(TALLIES_RATE) }), make: (n): Tallied => ({ n, key: `k${(n * 7_919) % 1_000}` }) }, HURRY), {
    time: { of: ({ n }) => n, outOfOrder: 0 },
  });
  const pass = flow.processor("pass", feed, map((tallied: Tallied) => tallied));
  const tally = flow.processor("tally", pass.keyBy(({ key }) => key), { parallelism: 4 }, aggregate({
    initial: () => ({ count: 0, last: -1 }),
    add: ({ count }, { n }: Tallied) => ({ count: count + 1, last: n }),
    result: ({ count, last }, { key }) => ({ key, count, last }),
  }));
  const out = flow.sink("out", tally, { order: "time" }, jsonl.sink(TALLIES_OUT));
  return { feed, pass, tally, out };
});
