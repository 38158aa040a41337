// Clicks on the pages of a site, counted as they come: what the walk-through in README runs on three nodes.
import { defineFlow } from "millrace";
import { aggregate, generate, jsonl } from "millrace/actors";

export default defineFlow("clicks", (flow) => {
  const clicks = flow.source("clicks", generate({ count: 1_000_000, rate: 200, make: (n) => ({ page: `/page-${(n * 7919) % 100}` }) }));

  // Another node has each count at hand, too: when one dies, its pages go on there.
  const perPage = flow.processor("per-page", clicks.keyBy(({ page }) => page), { parallelism: 4, place: { standby: 1 } }, aggregate({
    initial: () => 0,
    add: (count) => count + 1,
    result: (count, { key }) => ({ page: key, count }),
  }));

  // A file is on one machine: where this label is.
  const totals = flow.sink("totals", perPage, { place: { label: "files" } }, jsonl.sink(".millrace/out/clicks.jsonl"));
  return { clicks, perPage, totals };
});
