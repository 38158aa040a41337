// A sink's marks: whatever the author makes them of.
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { generate } from "../../../actors/index.ts";
import { type Batch, defineFlow, defineSink, type Flow } from "../../../runtime/index.ts";
import { rejection } from "../../support/rejection.ts";
import { TwinWorld } from "../../support/twin-node.ts";
import { within } from "../../support/waiting.ts";

const test = suite("sink-writer");

/** Marks of bigint, in a map and an object whose properties come back in another order. */
interface Mark { readonly rows: bigint; readonly parts: ReadonlyMap<string, bigint> }

function flowInto(rows: number[], answers: (last: Mark) => Mark): Flow {
  return defineFlow("marks", (flow) => {
    const feed = flow.source("feed", generate({ count: 30, batch: 5, make: (n) => n }));
    flow.sink("out", feed, defineSink<number, Mark>({
      kind: "table", guarantee: "transactional", start: { rows: 0n, parts: new Map() },
      open: ({ last }) => Promise.resolve({
        written: { batch: last.batch, mark: answers(last.mark) },
        write: ({ events }: Batch<number>) => {
          rows.push(...events.map(({ data }) => data));
          return Promise.resolve({ rows: BigInt(rows.length), parts: new Map([["a", BigInt(rows.length)]]) });
        },
      }),
    }));
  });
}

test("a mark may hold bigints and maps, and come back with its properties in another order", async () => {
  await using twin = await TwinWorld.make();
  const rows: number[] = [];
  await using it = await twin.start([flowInto(rows, ({ rows: count, parts }) => ({ parts, rows: count }))]);
  await within(10_000, "the end", it.node.done);
  assert.equal(rows, Array.from({ length: 30 }, (_, n) => n));
});

test("another mark than the log's parks the sink, and the message shows both", async () => {
  await using twin = await TwinWorld.make();
  await using it = await twin.start([flowInto([], () => ({ rows: 7n, parts: new Map() }))]);
  const error = await rejection(within(10_000, "it parks", it.node.done));
  assert.match(error.message, /SINK_DIVERGED/);
  assert.match(error.message, /7n/);
});

test.run();
