// A sink into an array of the caller's: for tests and small programs.
import { defineSink, type SinkActor } from "../runtime/index.ts";

/**
 * Pushes the data of each event to `into`, in the process that runs the sink. Within one life of the process a batch that
 * comes again after a crash of the actor is not pushed again; the array itself does not outlive the process, so
 * the guarantee is "at-least-once".
 */
export function collect<T>(into: T[]): SinkActor<T> {
  /** Newest batch of each actor. */
  const batches = new Map<string, number>();
  return defineSink<T, never>({
    kind: "collect", guarantee: "at-least-once",
    async open({ actor, generation }) {
      const writer = `${actor}@${generation}`;
      return {
        async write({ number, events }) {
          if (number <= (batches.get(writer) ?? 0)) return;
          batches.set(writer, number);
          for (const event of events) into.push(event.data);
        },
      };
    },
  });
}
