// Much state: a count for each of very many keys, in eight partitions or as many as asked for. Its keys come in order, again and again.
import { defineFlow } from "millrace";
import { aggregate, filter, generate, jsonl, pipe } from "millrace/actors";

const { MILLRACE_TEST_EVENTS = "2000000", MILLRACE_TEST_KEYS = "800000", MILLRACE_TEST_OUT = "out.jsonl", MILLRACE_TEST_STANDBY = "0", MILLRACE_TEST_PARTITIONS = "8" } = process.env;
const keys = Number(MILLRACE_TEST_KEYS);

export default defineFlow("keyed", (flow) => {
  const numbers = flow.source("numbers", generate({ count: Number(MILLRACE_TEST_EVENTS), make: (n) => ({ key: n % keys, n }) }));
  const counts = flow.processor("counts", numbers.keyBy(({ key }) => key), { parallelism: Number(MILLRACE_TEST_PARTITIONS), place: { standby: Number(MILLRACE_TEST_STANDBY) as 0 | 1 } }, pipe(
    aggregate({ initial: () => ({ count: 0, last: -1 }), add: (sum, { n }) => ({ count: sum.count + 1, last: n }) }),
    filter(({ key }) => key % 1_000 === 0),
  ));
  flow.sink("report", counts, jsonl.sink(MILLRACE_TEST_OUT));
});
