// The driver of a flow's tests: what a user sends, asks and sees. The flow itself runs in flow-host.ts.
import type { DeadLetter } from "../actor/emitter.ts";
import { viewOf } from "../actor/query.ts";
import { MillraceError } from "../event/errors.ts";
import { type Duration, type FlowEvent, instant, isKey, type Key, type Time } from "../event/event.ts";
import { partitionOf } from "../event/partition.ts";
import { sortOf, shown } from "../flow/display.ts";
import { type Answer, type Arguments, type KeyOf, type NamesOf, type QueriesOf, type Queryable, type Readable, stageNamed, type Stateful, type StateOf } from "../flow/face.ts";
import type { Flow } from "../flow/flow.ts";
import type { OperatorSpec, StateEntry } from "../flow/operator.ts";
import { planOf, type StagePlan } from "../flow/plan.ts";
import type { DataOf, OutputsOf, Source } from "../flow/stream.ts";
import type { Collector } from "./collector.ts";
import { failureNotice } from "./failure-notice.ts";
import type { Feed } from "./feed.ts";
import { FlowHost } from "./flow-host.ts";
import { copied, frozen } from "./frozen.ts";
import { type Crash, type CrashPoint, type Item, itemOf, lengthOf, pointOf, type Sent, type Token } from "./token.ts";

export interface TestFlowOptions {
  /** Of the manual clock. Default 2000-01-01T00:00:00Z. */
  readonly start?: Time;
  /** Decides in which order actors run. A whole number, default 1; printed where the process fails. */
  readonly seed?: number;
  /** Drop and recover every actor after every event. Default false. */
  readonly alwaysReplay?: boolean;
}

/** An event that was given up. */
export interface GivenUp {
  readonly event: FlowEvent;
  /** A code such as "SCHEMA", "LATE", "TERMINAL" or "POISON". */
  readonly reason: string;
  readonly error: Error;
}

/**
 * A flow in this process: no server, no disk, a clock that is moved by hand. Sources are fed, sinks collect; what is between is
 * the engine. Stages go by their own names, or as the flow returns them. Event time moves by what is sent and by `advance` alone:
 * no silence lets it follow the clock.
 */
export interface TestFlow<X> extends AsyncDisposable {
  /**
   * Sends events and lets tokens happen, in order; resolves when all that follows from them is committed, or waits for the clock
   * (a RetryableError, an UnavailableError, a timer). Where events move event time, each is done with before the next.
   *
   * A handler that throws anything else is tried again at once, as by its supervisor; after `poison.after` tries the event is a
   * dead letter. Rejects where the supervisor would give up first, and from then on: GIVEN_UP, names stage, event and cause.
   * A handler that is not done meets its deadline (`poison.deadline`, default 1 m) in real time. Of a stage with `isolate` that ends one that does
   * not give the loop back, too: it is given up after `poison.after` counted tries, which takes up to two lives more. All else of `isolate` is
   * left out: there is one thread, with one copy of each module, and `process.exit` or a full memory ends it.
   *
   * @throws MillraceError GIVEN_UP, NOT_FOUND, SOURCE_ENDED, TEST_HANGS, TEST_OVER
   */
  send<N extends string & NamesOf<X, Source<unknown>>>(source: N, ...items: (DataOf<X[N]> | Sent<DataOf<X[N]>> | Token)[]): Promise<void>;
  /** Moves the clock by so much, and event time as far from where it stands: timers fire, windows close. */
  advance(by: Duration): Promise<void>;
  /** Ends all sources: open windows close, and the flow ends; an event that waits to be tried again still waits for `advance`. */
  end(): Promise<void>;
  /** Ends the stage's actors and starts them again from their journals. Between two calls none is in a turn: a point needs `send(…, crash(…))`. */
  crash(stage: string, point?: CrashPoint): Promise<void>;
  /** What a stage gave or a sink took so far, in order for each key. */
  output<N extends string & Readable<X>>(stage: N): readonly DataOf<X[N]>[];
  output<N extends string & Readable<X>, O extends string & keyof OutputsOf<X[N]>>(stage: N, output: O): readonly OutputsOf<X[N]>[O][];
  /** The same with id, time and key. */
  events<N extends string & Readable<X>>(stage: N): readonly FlowEvent<DataOf<X[N]>>[];
  /** Committed state of a key; `undefined` where there is none. */
  state<N extends string & Stateful<X>>(stage: N, key: KeyOf<X[N]>): StateOf<X[N]> | undefined;
  /** The answer from committed state; `undefined` where the key has none. */
  query<N extends string & Queryable<X>, Q extends keyof QueriesOf<X[N]>>(
    stage: N, key: KeyOf<X[N]>, query: Q, ...args: Arguments<QueriesOf<X[N]>[Q]>): Answer<QueriesOf<X[N]>[Q]> | undefined;
  /** Events that were given up so far, of one stage or of all. */
  deadLetters(stage?: string): readonly GivenUp[];
}

/**
 * Starts a flow for a test. Use it with `await using`, or call its `[Symbol.asyncDispose]()`: nothing of it runs any more then.
 *
 * @example
 * await using t = await testFlow(fraud);
 * await t.send("payments", payment, crash("velocity", "after-commit"), advance("10m"));
 * assert.deepEqual(t.output("alerts"), []);
 *
 * @throws MillraceError OPTION_INVALID
 */
export async function testFlow<X>(flow: Flow<X>, options: TestFlowOptions = {}): Promise<TestFlow<X>> {
  const { start = "2000-01-01T00:00:00Z", seed = 1, alwaysReplay = false } = options, plan = planOf(flow), ms = instant(start);
  const invalid = (where: string, message: string, remedy: string) => new MillraceError("OPTION_INVALID", where, message, remedy);
  if (plan === undefined) throw invalid("testFlow", `testFlow got ${sortOf(flow)}`, "Give it what defineFlow returned.");
  if (ms === undefined) throw invalid("testFlow.start", `start of testFlow is ${shown(start)}`, "Give ms since the epoch, a Date or ISO 8601 with a zone.");
  if (!Number.isSafeInteger(seed)) throw invalid("testFlow.seed", `seed of testFlow is ${shown(seed)}`, "Give a whole number.");
  const driver = new Driver(new FlowHost(plan, ms, seed), alwaysReplay);
  driver.onOver(failureNotice(() => driver.notice(seed)));
  try {
    await driver.started();
  } catch (error) {
    await driver[Symbol.asyncDispose]();
    throw error;
  }
  return driver as unknown as TestFlow<X>;
}

class Driver {
  readonly #host: FlowHost;
  readonly #alwaysReplay: boolean;
  #tail: Promise<unknown> = Promise.resolve();
  #over = (): void => {};
  /** Dead letters that the test has looked at. */
  readonly #looked = new Set<DeadLetter>();

  constructor(host: FlowHost, alwaysReplay: boolean) {
    this.#host = host;
    this.#alwaysReplay = alwaysReplay;
  }

  onOver(call: () => void): void {
    this.#over = call;
  }

  started(): Promise<void> {
    return this.#inTurn(() => this.#host.settle());
  }

  send(source: string, ...items: unknown[]): Promise<void> {
    // As they are now: what the caller does with them later is no business of the flow's.
    const sent = items.map(itemOf).map((item) => (item.kind === "event" ? { ...item, data: frozen(copied(item.data)) } : item));
    return this.#inTurn(() => this.#send(source, sent));
  }

  advance(by: Duration): Promise<void> {
    return this.#inTurn(() => this.#step({ kind: "advance", ms: lengthOf(by) }, undefined, []));
  }

  end(): Promise<void> {
    return this.#inTurn(async () => {
      for (const feed of this.#host.feeds.values()) feed.end();
      await this.#host.settle();
    });
  }

  crash(stage: string, point: CrashPoint = "before-commit"): Promise<void> {
    return this.#inTurn(() => this.#step(undefined, undefined, [{ kind: "crash", stage: this.#stage(stage).name, point: pointOf(point) }]));
  }

  /** Calls that are not awaited happen one after the other. */
  #inTurn(call: () => Promise<void>): Promise<void> {
    const done = this.#tail.then(call);
    this.#tail = done.catch(() => {});
    return done;
  }

  async #send(name: string, items: readonly Item[]): Promise<void> {
    const { name: source } = this.#stage(name, "source"), feed = this.#host.feeds.get(source) as Feed;
    for (const item of items) if (item.kind === "crash") this.#stage(item.stage);
    for (let i = 0; i < items.length; ) {
      const crashes: Crash[] = [], takeCrashes = (): void => {
        for (let item = items[i]; item?.kind === "crash"; item = items[++i]) crashes.push({ ...item, stage: this.#stage(item.stage).name });
      };
      if (i === 0) takeCrashes();
      const item = items[i++];
      takeCrashes();
      if (item?.kind === "event" && crashes.length === 0 && !feed.timely && !this.#alwaysReplay) this.#give(item, feed, source);
      else await this.#step(item, { feed, source }, crashes);
    }
    await this.#host.settle();
  }

  /** One item, alone, with the crashes that fall into its turn. */
  async #step(item: Item | undefined, into: { readonly feed: Feed; readonly source: string } | undefined, crashes: readonly Crash[]): Promise<void> {
    const host = this.#host;
    await host.settle();
    for (const { stage, point } of crashes) host.arm(stage, point);
    if (item?.kind === "event" && into !== undefined) this.#give(item, into.feed, into.source);
    else if (item?.kind === "end") into?.feed.end();
    else if (item?.kind === "advance") await host.advance(item.ms);
    await host.settle();
    if (host.crashRest()) await host.settle();
    if (!this.#alwaysReplay) return;
    host.crashAll();
    await host.settle();
  }

  #give(event: Extract<Item, { kind: "event" }>, feed: Feed, source: string): void {
    if (feed.ended) throw new MillraceError("SOURCE_ENDED", source, `Source "${source}" has ended and was sent another event`, "Send it before the end.");
    feed.give(event);
  }

  output(name: string, output = ""): readonly unknown[] {
    return this.#given(name, output).map(({ data }) => data);
  }

  events(name: string): readonly FlowEvent[] {
    return [...this.#given(name, "")];
  }

  #given(name: string, output: string): readonly FlowEvent[] {
    const stage = this.#stage(name);
    if (stage.kind === "sink" && output === "") return (this.#host.collectors.get(stage.name) as Collector).events;
    const given = this.#host.given(stage.name, output);
    if (given === undefined) throw this.#missing(`Stage "${stage.name}" has no output ${shown(output)}`, `It has: ${stage.outputs.join(", ") || "none but its own stream"}.`);
    return given.events;
  }

  state(name: string, key: Key): unknown {
    const [spec, entries] = this.#stateful(name, key);
    return viewOf(spec, entries);
  }

  query(name: string, key: Key, query: string, ...args: unknown[]): unknown {
    const [spec, entries] = this.#stateful(name, key), ask = spec.queries?.[query], state = viewOf(spec, entries);
    if (ask === undefined) throw this.#missing(`Stage "${this.#stage(name).name}" answers no query ${shown(query)}`, `It answers: ${Object.keys(spec.queries ?? {}).join(", ") || "none"}.`);
    return state === undefined ? undefined : ask(state as never, ...(args as never[]));
  }

  #stateful(name: string, key: Key): readonly [OperatorSpec, readonly StateEntry[]] {
    const stage = this.#stage(name), steps = stage.kind === "processor" ? stage.steps : [], operator = steps.findIndex(({ state }) => state === "key"), spec = steps[operator];
    if (spec === undefined) throw this.#missing(`Stage "${stage.name}" keeps no state by key`, "Ask a stage with stateful, aggregate, reduce or summarize.");
    if (!isKey(key)) throw new MillraceError("KEY_INVALID", stage.name, `${shown(key)} is no key`, "A key is a text of at most 512 bytes or a safe integer.");
    return [spec, this.#host.stateOf(stage.name, partitionOf(key, stage.parallelism))?.of(operator, key) ?? []];
  }

  deadLetters(name?: string): readonly GivenUp[] {
    const of = name === undefined ? undefined : `${this.#host.declared.name}/${this.#stage(name).name}/`;
    const letters = this.#letters().filter(({ actor }) => of === undefined || actor.startsWith(of));
    for (const letter of letters) this.#looked.add(letter);
    return letters.map(({ code, error: { name: kind, message, stack }, event: { key, ...event } }) => ({
      event: { ...event, ...(key === null ? {} : { key }) }, reason: code, error: Object.assign(new Error(message), { name: kind, stack }),
    }));
  }

  #letters(): readonly DeadLetter[] {
    return this.#host.deadLetters.events.map(({ data }) => data as DeadLetter);
  }

  /** What to know of it where the process fails: its seed, and events that crashed their actor and that the test has not looked at. */
  notice(seed: number): readonly string[] {
    const poison = this.#letters().filter((letter) => letter.code === "POISON" && !this.#looked.has(letter)).map(({ actor, error: { name, message }, event }) => `${actor} gave up event ${event.id}, ${shown(event.data)}: ${name}: ${message}`);
    return seed === 1 && poison.length === 0 ? [] : [`flow "${this.#host.declared.name}" was tested with seed ${seed}`, ...poison];
  }

  #stage(name: string, kind?: StagePlan["kind"]): StagePlan {
    const { declared } = this.#host, stage = stageNamed(declared, name);
    if (stage !== undefined && (kind === undefined || stage.kind === kind)) return stage;
    const all = declared.stages.filter((one) => kind === undefined || one.kind === kind).map((one) => one.name);
    throw this.#missing(`Flow "${declared.name}" has no ${kind ?? "stage"} ${shown(name)}`, `It has: ${all.join(", ")}.`);
  }

  #missing(message: string, remedy: string): MillraceError {
    return new MillraceError("NOT_FOUND", this.#host.declared.name, message, remedy);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#host.close();
    await this.#tail;
    this.#over();
  }
}
