// The ports to broker and local storage with a kill point at each step: the engine behind them is the real one, without switches.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { type Batch, defineSink, defineSource, type SinkActor, type SourceActor, type TransactionalContext } from "../../runtime/index.ts";
import type { Broker, BrokerStream } from "../../runtime/broker/broker.ts";
import { type PullSource, sourceOf } from "../../runtime/flow/source.ts";
import { sinkOf, type TransactionalSink } from "../../runtime/flow/sink.ts";
import { decodeRecord } from "../../runtime/journal/record.ts";
import type { Store, StoreOperation, Stores } from "../../runtime/journal/store.ts";
import { keep } from "./chaos-archive.ts";
import type { KillPoint, StepName } from "./kill-point.ts";

type Appends = "claim" | "record" | "snapshot" | "stop" | "frame" | "letter" | "chunk";

/** An append that is to die unanswered is sent, and dies within so many ms: stored or not, as it happens. */
const sentMs = 3;

/** @param archive folder that gets what is purged from logs, so that the whole log can be judged */
export function watchedBroker(inner: Broker, point: KillPoint, archive: string): Broker {
  mkdirSync(archive, { recursive: true });
  let framesOut = 0;
  const append = async (what: Appends, call: () => ReturnType<BrokerStream["append"]>): ReturnType<BrokerStream["append"]> => {
    point.at(`${what}-before` as StepName);
    if (point.isHere(`${what}-sent` as StepName)) {
      const outcome = call();
      setTimeout(() => point.die(), Math.random() * sentMs);
      return await (point.livesOn ? outcome : new Promise<never>(() => {}));
    }
    if (what === "frame") framesOut++;
    const outcome = await call();
    point.at(`${what}-stored` as StepName);
    if (what === "frame" && --framesOut === 0) point.at("frames-stored");
    setImmediate(() => point.at(`${what}-acknowledged` as StepName));
    return outcome;
  };
  const purgeOf = (subject: string): "purge" | "chunk-purge" | "trim" | undefined => subject.endsWith(".log") ? "purge" : subject.endsWith(".snap") ? "chunk-purge" : /\.in\.\d+$/.test(subject) ? "trim" : undefined;
  const stream = (name: string, subject: string): BrokerStream => {
    const its = inner.stream(name, subject), purge = purgeOf(subject);
    const appends = (data: Uint8Array): Appends | undefined => {
      if (subject.endsWith(".log")) {
        const { kind } = decodeRecord(data);
        return kind === "claim" || kind === "snapshot" || kind === "stop" ? kind : "record";
      }
      return purge === "trim" ? "frame" : purge === "chunk-purge" ? "chunk" : subject.startsWith("mr.dead.") ? "letter" : undefined;
    };
    return {
      subject,
      append(data, expected, timeoutMs) {
        const what = appends(data), call = () => its.append(data, expected, timeoutMs);
        return what === undefined ? call() : append(what, call);
      },
      last: () => its.last(), get: (seq) => its.get(seq), bounds: () => its.bounds(), read: (from, to) => its.read(from, to),
      follow(from) {
        const followed = its.follow(from);
        return {
          take() {
            const taken = followed.take();
            if (taken !== undefined) point.at("take");
            return taken;
          },
          onReady: (call) => followed.onReady(call), close: () => followed.close(),
        };
      },
      raise: (maxMessages) => its.raise(maxMessages),
      async purge(before) {
        if (purge === undefined) return await its.purge(before);
        if (purge === "purge") await keep(join(archive, name), its, before);
        point.at(`${purge}-before` as StepName);
        await its.purge(before);
        point.at(`${purge}-after` as StepName);
      },
    };
  };
  return {
    get maxPayload() { return inner.maxPayload; }, get version() { return inner.version; }, get connected() { return inner.connected; }, keys: inner.keys,
    onConnection: (call) => inner.onConnection(call), create: (spec) => inner.create(spec), describe: (name) => inner.describe(name), list: (prefix) => inner.list(prefix), remove: (name) => inner.remove(name),
    stream, serve: (subject, answer) => inner.serve(subject, answer), request: (subject, data, ms) => inner.request(subject, data, ms), close: () => inner.close(),
  };
}

export function watchedStores(inner: Stores, point: KillPoint): Stores {
  return {
    open: async (name) => watchedStore(await inner.open(name), point),
    exists: (name) => inner.exists(name), remove: (name) => inner.remove(name), setAside: (name) => inner.setAside(name),
  };
}

function watchedStore(inner: Store, point: KillPoint): Store {
  return {
    get: (key) => inner.get(key), range: (gte, lt, options) => inner.range(gte, lt, options), close: () => inner.close(),
    async write(operations) {
      const [before, after] = stepsOf(operations);
      if (before !== undefined) point.at(before);
      await inner.write(operations);
      if (after !== undefined) point.at(after);
    },
  };
}

function stepsOf(operations: readonly StoreOperation[]): readonly [before?: StepName, after?: StepName] {
  const [first] = operations;
  if (first === undefined) return [];
  const letter = String.fromCharCode(first.key[0] as number);
  if (letter === "r") return first.type === "put" ? ["batch-before", "batch-after"] : ["journal-trim-before", "journal-trim-after"];
  return letter === "f" ? ["fold-middle", "fold-after"] : letter === "h" ? [] : ["fold-before"];
}

/** A file sink whose writes can be died at. */
export function watchedSink<T>(of: SinkActor<T>, point: KillPoint): SinkActor<T> {
  const sink = sinkOf(of) as TransactionalSink<T, unknown>;
  return defineSink<T, unknown>({
    ...sink,
    async open(ctx: TransactionalContext<unknown>) {
      const session = await sink.open(ctx), finish = session.finish;
      return {
        ...session,
        async write(batch: Batch<T>) {
          point.at("write-before");
          const mark = await session.write(batch);
          point.at("write-after");
          return mark;
        },
        ...(finish === undefined ? {} : { async finish() { point.at("finish-before"); await finish(); point.at("finish-after"); } }),
      };
    },
  });
}

/** A source that can be died at before each thing that it yields. */
export function watchedSource<T>(of: SourceActor<T>, point: KillPoint): SourceActor<T> {
  const source = sourceOf(of) as PullSource<T, unknown>;
  return defineSource<T, unknown>({
    ...source,
    async *read(from, ctx) {
      for await (const yielded of source.read(from, ctx)) {
        point.at("read");
        yield yielded;
      }
    },
  });
}
