// A stage that is scaled has as many seats as its run's record gives it actors. Pure.
import { type FlowSeats, type StageSeats, unplaced } from "./placement-record.ts";

/** `counts`: actors by stage; a stage that is not in it stays as it is. `undefined`: all of them are so. */
export function reseated(flow: FlowSeats, counts: ReadonlyMap<string, number>): FlowSeats | undefined {
  const fits = ({ name, seats }: StageSeats): boolean => (counts.get(name) ?? seats.length) === seats.length;
  if (flow.stages.every(fits)) return undefined;
  return { ...flow, stages: flow.stages.map((stage) => (fits(stage) ? stage : { ...stage, seats: Array.from({ length: counts.get(stage.name) as number }, (_, p) => stage.seats[p] ?? unplaced) })) };
}
