// Numbers, their squares by groups, in order into a file. NUMBERS: how many; NUMBERS_RATE: a second; NUMBERS_OUT: the file; HURRY: as fast as it goes once that file is there.
import { defineFlow } from "millrace";
import { jsonl, map } from "millrace/actors";
import { unhurried } from "../unhurried.ts";

const { HURRY, NUMBERS = "1000", NUMBERS_RATE, NUMBERS_OUT = "numbers.jsonl" } = process.env;

export default defineFlow("numbers", (flow) => {
  const feed = flow.source("feed", unhurried({ count: Number(NUMBERS), ...(NUMBERS_RATE === undefined ? {} : { rate: Number(NUMBERS_RATE) }), make: (n) => ({ n, group: n % 7 }) }, HURRY), {
    time: { of: ({ n }) => n, outOfOrder: 0 },
  });
  const squares = flow.processor("squares", feed.keyBy(({ group }) => group), { parallelism: 3 }, map(({ n, group }) => ({ n, group, square: n * n })));
  const out = flow.sink("out", squares, { order: "time" }, jsonl.sink(NUMBERS_OUT));
  return { feed, squares, out };
});
