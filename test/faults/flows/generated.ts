// A flow whose output is the same however often it is killed: what the kill test runs. Two competing workers, four partitions by
// key, windows of event time, a sink in the order of time.
import { defineFlow } from "millrace";
import { aggregate, filter, generate, jsonl, tumbling } from "millrace/actors";

const { MILLRACE_TEST_EVENTS = "300000", MILLRACE_TEST_OUT = "out.jsonl" } = process.env;
const begin = Date.UTC(2026, 0, 1);

export default defineFlow("generated", (flow) => {
  const numbers = flow.source("numbers", generate({
    count: Number(MILLRACE_TEST_EVENTS), seed: 7,
    make: (n, random) => ({ n, key: `key-${Math.floor(random() * 100)}`, amount: Math.floor(random() * 10_000), at: begin + n * 10 - Math.floor(random() * 500) }),
  }), { time: { of: (event) => event.at, outOfOrder: "1s" } });
  const kept = flow.processor("kept", numbers, { parallelism: 2 }, filter((event) => event.amount >= 1_000));
  const windows = flow.processor("windows", kept.keyBy((event) => event.key), { parallelism: 4 }, aggregate({
    window: tumbling("1m"),
    initial: () => ({ count: 0, amount: 0, last: -1 }),
    add: (sum, event) => ({ count: sum.count + 1, amount: sum.amount + event.amount, last: Math.max(sum.last, event.n) }),
    result: (sum, { key, window }) => ({ key, window: window.start, ...sum }),
  }));
  flow.sink("report", windows, { order: "time" }, jsonl.sink(MILLRACE_TEST_OUT));
});
