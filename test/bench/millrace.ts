// (d): Millrace, everything on, in one process as the ceiling is: a generator, a keyed aggregate with four partitions that gives an
// update for each event, a file.
import { join } from "node:path";
import { aggregate, filter, jsonl, pipe } from "../../actors/index.ts";
import { type Batch, defineFlow, defineSink, defineSource, type Flow, type SinkActor, type SourceActor, startNode, type TransactionalContext } from "../../runtime/index.ts";
import { sinkOf, type TransactionalSink } from "../../runtime/flow/sink.ts";
import { type Bid, bidOf, checkFile, counts, due, keyOf, Made, plus, timeOf, type Total, type Update, updatesOf } from "./bids.ts";
import { type Contender, type Run, type ServerAddress, Stopwatch } from "./contender.ts";

const partitions = 4;
const batch = 1_024;

export const millrace: Contender = async (run: Run) => {
  const made = run.rate === 0 ? undefined : new Made();
  const path = join(run.folder, "out.jsonl"), expected = updatesOf(run.events), watch = new Stopwatch();
  let written = 0;
  const source = bids(run.events, run.rate, { begun: () => watch.start(), made: (bid) => made?.made(bid) });
  const flow = bench(source, watched(jsonl.sink(path), (events) => {
    written += events.length;
    made?.written(events.map(({ data }) => data as Update));
    if (written === expected) watch.stop();
  }));
  await using node = await startNode({ nats: connectionTo(run.server), dataDir: join(run.folder, "node"), flows: [flow], run: "fresh" });
  await node.done;
  await checkFile(path, run.events);
  return made === undefined ? watch.took : { ...watch.took, latency: made.latency };
};

export function connectionTo({ servers, user, pass, fsync }: ServerAddress): { servers: string; user: string; pass: string; sync: "always" | "1s" } {
  return { servers, user, pass, sync: fsync === "always" ? "always" : "1s" };
}

export function bench(source: SourceActor<Bid>, sink: SinkActor<Update>): Flow {
  return defineFlow("bench", (flow) => {
    const bid = flow.source("bids", source);
    const totals = flow.processor("totals", bid.keyBy(keyOf), { parallelism: partitions }, pipe(
      filter(counts),
      aggregate({
        initial: (): Total | undefined => undefined,
        add: plus,
        result: (total, { key }): Update => ({ key: key as string, ...(total as Total) }),
      }),
    ));
    flow.sink("report", totals, sink);
  });
}

/** The bids, as fast as they are taken or so many a second. */
export function bids(events: number, rate: number, told: { readonly begun?: () => void; readonly made?: (bid: Bid) => void } = {}): SourceActor<Bid> {
  return defineSource<Bid, number>({
    kind: "bids", guarantee: "replayable", start: 0, ends: true,
    async *read(from) {
      told.begun?.();
      for await (const [first, end] of due(from, events, rate, batch)) {
        const readings = new Array<{ data: Bid; time: number; position: number }>(end - first);
        for (let n = first; n < end; n++) {
          const data = bidOf(n);
          told.made?.(data);
          readings[n - first] = { data, time: timeOf(n), position: n + 1 };
        }
        yield readings;
      }
    },
  });
}

/** A sink that tells what was written. */
function watched<T>(sink: SinkActor<T>, written: (events: readonly { readonly data: unknown }[]) => void): SinkActor<T> {
  const spec = sinkOf(sink) as TransactionalSink<T, unknown>;
  return defineSink<T, unknown>({
    ...spec,
    open: async (ctx: TransactionalContext<unknown>) => {
      const session = await spec.open(ctx);
      return {
        ...session,
        write: async (given: Batch<T>) => {
          const mark = await session.write(given);
          written(given.events);
          return mark;
        },
      };
    },
  });
}
