// Which targets an actor of a sink goes on with when its stage is scaled: a target belongs to a partition, whatever generation writes to it.
// Those of partitions that the new generation has not are kept, each by one of its actors: a later one may have them again, and at the end
// they are finished (PROTOCOL 11, P28). Pure.
import type { Body } from "../journal/record.ts";

type Kept = NonNullable<Body["targets"]>[number];

/** @param bodies of the seals of all actors before it, by partition; `count`: actors of its generation */
export function inheritedTargets(bodies: readonly Body[], partition: number, count: number): Pick<Body, "sink" | "targets"> {
  const all = bodies.flatMap(({ sink, targets = [] }, p): Kept[] => (sink === undefined ? [] : [[p, sink.number, sink.mark], ...targets]));
  const own = all.find(([p]) => p === partition), kept = all.filter(([p]) => p >= count && p % count === partition);
  return {
    ...(own === undefined ? {} : { sink: { number: own[1], events: 0, mark: own[2], written: true, from: { inputs: [], cursors: [] } } }),
    ...(kept.length === 0 ? {} : { targets: kept }),
  };
}
