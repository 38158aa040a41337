// Counts by key, of which warm copies are kept. NUMBERS: how many events; NUMBERS_RATE: a second; NUMBERS_OUT: the file; HURRY: as fast as it goes once that file is there.
import { defineFlow } from "millrace";
import { aggregate, filter, jsonl, pipe } from "millrace/actors";
import { unhurried } from "../../support/unhurried.ts";

const { HURRY, NUMBERS = "1000", NUMBERS_RATE, NUMBERS_OUT = "numbers.jsonl" } = process.env;
const keys = 5_000;

export default defineFlow("standby", (flow) => {
  const feed = flow.source("feed", unhurried({ count: Number(NUMBERS), ...(NUMBERS_RATE === undefined ? {} : { rate: Number(NUMBERS_RATE) }), make: (n) => ({ n, key: n % keys }) }, HURRY), {
    time: { of: ({ n }) => n, outOfOrder: 0 },
  });
  const counts = flow.processor("counts", feed.keyBy(({ key }) => key), { parallelism: 2, place: { standby: 1, spread: true } }, pipe(
    aggregate({ initial: () => ({ count: 0, last: -1 }), add: ({ count }, { n }) => ({ count: count + 1, last: n }), result: ({ count, last }, { key }) => ({ key, count, last }) }),
    filter(({ last }) => last % 50 === 0),
  ));
  flow.sink("out", counts, { order: "time" }, jsonl.sink(NUMBERS_OUT));
});
