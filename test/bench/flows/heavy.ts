// A handler that is hard work for the processor. MILLRACE_TEST_EVENTS, MILLRACE_TEST_OUT; each event tells when it was done, and where.
import { createHash } from "node:crypto";
import { defineFlow } from "millrace";
import { generate, jsonl, map } from "millrace/actors";

const { MILLRACE_TEST_EVENTS = "20000", MILLRACE_TEST_OUT = "out.jsonl" } = process.env;
const rounds = 300;

export default defineFlow("heavy", (flow) => {
  const numbers = flow.source("numbers", generate({ count: Number(MILLRACE_TEST_EVENTS), make: (n) => ({ n, key: n % 256 }) }));
  const hashed = flow.processor("hashed", numbers.keyBy(({ key }) => key), { parallelism: 8, mailbox: { maxFrames: 64 } }, map(({ n }) => {
    let hash = String(n);
    for (let round = 0; round < rounds; round++) hash = createHash("sha256").update(hash).digest("hex");
    return { n, hash, at: Date.now(), pid: process.pid };
  }));
  flow.sink("out", hashed, jsonl.sink(MILLRACE_TEST_OUT));
});
