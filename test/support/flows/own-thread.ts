// A flow for programs, in a module that threads can load: which thread handles what.
import { threadId } from "node:worker_threads";
import { defineFlow } from "millrace";
import { collect, generate, map } from "millrace/actors";

export const seen: { n: number; thread: number }[] = [];

export const ownThread = defineFlow("own-thread", { module: import.meta.url }, (flow) => {
  const feed = flow.source("feed", generate({ count: 20, make: (n) => ({ n }) }));
  const there = flow.processor("there", feed, { isolate: "worker" }, map(({ n }) => ({ n, thread: threadId })));
  flow.sink("out", there, collect(seen));
});
