// What a sink writes to: outside of everything, reached over a network, so that a write may arrive late, after its writer has
// died or was fenced. Two kinds, as in models/sink.mjs: one stores the number of the batch with the data in one transaction and takes
// only the number that follows; the other is a file that each batch has its place in.
import { defineSink, MillraceError, type SinkActor, UnavailableError } from "../../runtime/index.ts";
import { sinkOf, type TransactionalSink } from "../../runtime/flow/sink.ts";
import type { Logger } from "../../runtime/flow/context.ts";

export type TargetKind = "numbered" | "file";

/** Rules of a target that a broken variant breaks. */
export interface TargetRules {
  /** Numbered: takes only the number that follows. */
  next: boolean;
  /** File: a batch is written at its place; else it is cut back at the start and appended to, or begun anew by batch 1. */
  place: "mark" | "append" | "anew";
}

export interface Target {
  batch: number;
  /** Data of the events, in the order in which they are there. A hole in a file is `undefined`. */
  readonly data: unknown[];
  finished: boolean;
}

/** How a target reaches its world. */
export interface TargetHost {
  readonly rules: TargetRules;
  target(actor: string): Target;
  /** A write of that actor on that node arrives. */
  told(log: Logger, actor: string): void;
  /** Carries `there` out at the target, and gives what it gave, if both ways are. `undefined`: no answer came in time. */
  call<T>(log: Logger, actor: string, there: (torn: () => number) => T): Promise<{ readonly answer: T } | undefined>;
}

async function asked<T>(host: () => TargetHost, log: Logger, actor: string, there: (torn: () => number) => T): Promise<T> {
  const given = await host().call(log, actor, there);
  if (given === undefined) throw new UnavailableError(`the target of ${actor} does not answer`, { retryAfter: 50 });
  return given.answer;
}

/** Mark: how many events the target holds after the batch. */
export function numberedTarget(host: () => TargetHost): TransactionalSink<unknown, number> {
  return described<number>(defineSink<unknown, number>({
    kind: "numbered", guarantee: "transactional", start: 0,
    async open({ actor, log }) {
      const target = host().target(actor);
      const [batch, mark] = await asked(host, log, actor, () => [target.batch, target.data.length] as const);
      return {
        written: { batch, mark },
        write: ({ number, events }) => asked(host, log, actor, () => {
          host().told(log, actor);
          if (!host().rules.next || number === target.batch + 1) {
            target.batch = number;
            for (const { data } of events) target.data.push(data);
          } else if (number > target.batch) throw new MillraceError("SINK_DIVERGED", actor, `batch ${number} does not follow ${target.batch}`, "");
          return target.data.length;
        }),
        finish: async () => { target.finished = true; },
      };
    },
  }));
}

/** Mark: the place where the next batch begins. */
export function fileTarget(host: () => TargetHost): TransactionalSink<unknown, number> {
  return described<number>(defineSink<unknown, number>({
    kind: "file", guarantee: "transactional", start: 0,
    async open({ actor, log, last }) {
      const target = host().target(actor);
      let mark = last.mark;
      await asked(host, log, actor, () => {
        if (target.data.length < mark) throw new MillraceError("SINK_LOST", actor, `the file holds ${target.data.length} events, ${mark} were written`, "");
        if (host().rules.place === "append") target.data.length = mark;
      });
      return {
        written: last,
        write: async ({ number, events }) => {
          const at = mark;
          await asked(host, log, actor, (torn) => {
            host().told(log, actor);
            const { place } = host().rules, until = torn();
            if (place === "anew" && number === 1) target.data.length = 0;
            for (let i = 0; i < Math.min(until, events.length); i++) {
              const value = (events[i] as { data: unknown }).data;
              if (place === "append") target.data.push(value);
              else target.data[at + i] = value;
            }
          });
          mark = at + events.length;
          return mark;
        },
        finish: async () => {
          if (target.data.length > mark) throw new MillraceError("SINK_DIVERGED", actor, `the file holds ${target.data.length} events, ${mark} were written`, "");
          target.finished = true;
        },
      };
    },
  }));
}

function described<M>(sink: SinkActor<unknown>): TransactionalSink<unknown, M> {
  return sinkOf(sink) as TransactionalSink<unknown, M>;
}
