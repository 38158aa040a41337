// What stands in for a sink: keeps what it takes, and knows the number of its last batch, as a database would.
import { frozen } from "./frozen.ts";
import type { FlowEvent } from "../event/event.ts";
import type { SinkPlan } from "../flow/plan.ts";
import type { TransactionalSink, Written } from "../flow/sink.ts";
import type { Life } from "./life.ts";

const never = new Promise<never>(() => {});

export class Collector {
  /** In the order in which they were taken, each once. */
  readonly events: FlowEvent[] = [];
  /** Of each partition the last batch, and how many events it has taken. */
  readonly #written: Written<number>[] = [];

  /** The sink as one life of its actor runs it. */
  planOf(sink: SinkPlan, life: Life): SinkPlan {
    const { partition } = life;
    const collecting: TransactionalSink<unknown, number> = {
      kind: sink.sink.kind, guarantee: "transactional", start: 0,
      open: async () => ({
        written: this.#written[partition] ?? { batch: 0, mark: 0 },
        write: ({ number, events }) => this.#write(life, number, events),
      }),
    };
    return { ...sink, sink: collecting as TransactionalSink<unknown, unknown> };
  }

  async #write(life: Life, batch: number, events: readonly FlowEvent[]): Promise<number> {
    if (life.dead) return never;
    const mark = (this.#written[life.partition]?.mark ?? 0) + events.length;
    for (const { id, type, time, key, source, data } of events) this.events.push(frozen({ id, type, time, ...(key === undefined ? {} : { key }), source, data }));
    this.#written[life.partition] = { batch, mark };
    life.wrote();
    return mark;
  }
}
