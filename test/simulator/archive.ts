// What a server was ever given: the records of all logs, also those that it has purged, and when each message was stored.
import { Assembler, type Body, type CommitRecord, decodeRecord } from "../../runtime/journal/record.ts";
import type { MemoryServer } from "../../runtime/testing/memory-server.ts";
import type { MemoryStream } from "../../runtime/testing/memory-stream.ts";
import type { Scheduler } from "./scheduler.ts";

/** A stored message of a log, kept also when it is purged. */
export class Kept {
  readonly seq: number;
  readonly data: Uint8Array;
  #record: CommitRecord | undefined;

  constructor(seq: number, data: Uint8Array) {
    this.seq = seq;
    this.data = data;
  }

  get record(): CommitRecord {
    return (this.#record ??= decodeRecord(this.data));
  }
}

export class Archive {
  readonly logs = new Map<string, Kept[]>();
  /** Of each stream: the step at which a sequence was stored. A restored backup holds what was there then. */
  readonly stamps = new Map<string, Map<number, number>>();
  /** Chunks that were stored, also those that are purged, by stream and sequence; where they are kept. */
  readonly chunks = new Map<string, Map<number, Uint8Array>>();
  readonly #server: MemoryServer;

  /** `keepsChunks`: of snapshots, for worlds whose stages are scaled: there a fold begins with one. */
  constructor(server: MemoryServer, scheduler: Scheduler, keepsChunks: boolean) {
    this.#server = server;
    const { stamps } = this, create = server.create.bind(server);
    server.create = (spec) => {
      const isNew = !server.streams.has(spec.name), otherwise = create(spec);
      if (!isNew) return otherwise;
      const stream = server.streams.get(spec.name) as MemoryStream, append = stream.append.bind(stream), stamped = new Map<number, number>();
      stamps.set(spec.name, stamped);
      const chunks = keepsChunks && spec.name.endsWith("_snap") ? new Map<number, Uint8Array>() : undefined;
      if (chunks !== undefined) this.chunks.set(spec.name, chunks);
      stream.append = (subject, data, expected) => {
        const outcome = append(subject, data, expected);
        if (typeof outcome === "number") {
          stamped.set(outcome, scheduler.steps);
          chunks?.set(outcome, data.slice());
        }
        return outcome;
      };
      return otherwise;
    };
  }

  /** Keeps every record that a log accepts from now on: what a fold of the whole log is made of. */
  keep(name: string): void {
    const kept: Kept[] = [], stream = this.#server.streams.get(name) as MemoryStream, append = stream.append.bind(stream), truncate = stream.truncate.bind(stream);
    this.logs.set(name, kept);
    stream.append = (subject, data, expected) => {
      const outcome = append(subject, data, expected);
      if (typeof outcome === "number") kept.push(new Kept(outcome, data.slice()));
      return outcome;
    };
    stream.truncate = (to) => {
      while (kept.length > 0 && (kept[kept.length - 1] as Kept).seq > to) kept.pop();
      truncate(to);
    };
  }

  /** What the newest record that says it says, records in parts put together. A snapshot is of an earlier number than its own. */
  newest<T>(log: string, of: (body: Body) => T | undefined): T | undefined {
    const assembler = new Assembler();
    let newest: T | undefined;
    for (const { record } of this.logs.get(log) as Kept[]) {
      const whole = assembler.take(record);
      if (whole !== undefined && whole.kind !== "snapshot") newest = of(whole.body) ?? newest;
    }
    return newest;
  }
}
