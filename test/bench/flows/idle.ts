// Very many actors that have nothing to do. MILLRACE_TEST_PARTITIONS: how many, beside a source and a sink.
import { defineFlow, defineSource } from "millrace";
import { aggregate, collect } from "millrace/actors";

const silent = defineSource<{ key: number }, number>({
  kind: "silent", guarantee: "replayable", start: 0,
  async *read(_, { signal }) {
    await new Promise<void>((resolve) => { if (signal.aborted) resolve(); else signal.addEventListener("abort", () => resolve(), { once: true }); });
    yield* [];
  },
});

export default defineFlow("idle", (flow) => {
  const source = flow.source("source", silent);
  const counts = flow.processor("counts", source.keyBy(({ key }) => key), { parallelism: Number(process.env["MILLRACE_TEST_PARTITIONS"] ?? 1) }, aggregate({ initial: () => 0, add: (count) => count + 1 }));
  flow.sink("out", counts, collect<unknown>([]));
});
