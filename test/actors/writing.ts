// Opens a sink as the engine does.
import type { FlowEvent } from "../../runtime/event/event.ts";
import { type Batch, type SinkActor, sinkOf, type TransactionalSink, type Written } from "../../runtime/flow/sink.ts";
import type { FileMark } from "../../actors/file-sink.ts";
import { silent } from "./reading.ts";

export const generation = "k3v9x2ab-1";

export interface Opening {
  last?: Written<FileMark>;
  generation?: string;
  actor?: string;
  partition?: number;
  warn?: (message: string) => void;
}

export type Session = Awaited<ReturnType<TransactionalSink<unknown, FileMark>["open"]>> & AsyncDisposable;

export function transactional(sink: SinkActor<never>): TransactionalSink<unknown, FileMark> {
  return sinkOf(sink) as TransactionalSink<unknown, FileMark>;
}

/** A session that is closed at the end of its block, as after a crash: without `finish`. */
export async function session(sink: SinkActor<never>, { last = { batch: 0, mark: { offset: 0 } }, generation: of = generation, actor = "flow/report/0", partition = 0, warn = () => {} }: Opening = {}): Promise<Session> {
  const opened = await transactional(sink).open({ actor, partition, generation: of, signal: new AbortController().signal, log: { ...silent, warn }, last });
  return { ...opened, [Symbol.asyncDispose]: async () => opened.close?.() };
}

export function batch<T>(number: number, ...data: T[]): Batch<T> {
  return { number, events: data.map((one, i): FlowEvent<T> => ({ id: `flow/felt/0@${generation}.${number}.${i}`, type: "flow.felt", time: 0, source: "flow/felt/0", data: one })) };
}
