// A stand-in for the engine around one operator: runs its steps on events at hand, with state, timers and a watermark that
// moves by hand. What is done at once stays so; it holds operators to what the engine expects of them:
// - `next` is not called again before what it returned is done;
// - data and state are not changed in place (everything is frozen);
// - at the end of all inputs only timers that were set before fire (PROTOCOL, section 9).
import { stepsOf, type Context, type Key, type OperatorSpec, type Scope, type StateEntry, type Step, type StepEnvironment } from "../../runtime/index.ts";

export interface Emitted {
  readonly data: unknown;
  readonly time: number;
  readonly key: Key | undefined;
  readonly type: string | undefined;
}

interface DeadLetter extends Emitted {
  readonly code: string;
  readonly message: string;
}

interface SetTimer {
  readonly step: number;
  readonly key: Key;
  readonly name: string;
  readonly time: number;
  readonly clock: "event" | "wall";
}

class TwinEntry implements StateEntry {
  readonly key: Key;
  readonly part: number | undefined;
  value: unknown;
  isReleased = false;

  constructor(key: Key, part: number | undefined) {
    this.key = key;
    this.part = part;
  }
}

export class OperatorTwin {
  readonly out: Emitted[] = [];
  readonly further: Record<string, Emitted[]> = {};
  readonly deadLetters: DeadLetter[] = [];
  lateCount = 0;
  /** Wall clock, ms. */
  now = 0;
  readonly #specs: readonly OperatorSpec[];
  readonly #steps: Step[] = [];
  readonly #entries: Map<string, TwinEntry>[] = [];
  readonly #timers = new Map<string, SetTimer>();
  readonly #read: ReadonlySet<string>;
  readonly #stop = new AbortController();
  #watermark = -Infinity;
  #events = 0;

  /** `read`: further outputs that something reads. */
  constructor(operator: unknown, { read = [] }: { read?: readonly string[] } = {}) {
    const specs = stepsOf(operator);
    if (specs === undefined) throw new Error("no operator");
    const problems = specs.flatMap((spec) => spec.problems ?? []);
    if (problems.length > 0) throw new Error(problems.map(({ message }) => message).join("; "));
    this.#specs = specs;
    this.#read = new Set(read);
    for (const [i, spec] of specs.entries()) {
      this.#entries.push(new Map());
      this.#steps.push(spec.open(this.#environment(i)));
    }
  }

  /** One event. Nothing where all of it is done at once. */
  send(data: unknown, at: { time?: number; key?: Key } = {}): void | Promise<void> {
    const scope = this.#scope(at.time ?? 0, at.key);
    return (this.#steps[0] as Step).on(frozen(data), scope);
  }

  /** Moves the watermark and fires what is due by then, in order of (time, key, name). */
  advance(watermark: number): void | Promise<void> {
    this.#watermark = Math.max(this.#watermark, watermark);
    return this.#fire(() => this.#due("event", this.#watermark));
  }

  /** Moves the wall clock. */
  passTime(now: number): void | Promise<void> {
    this.now = now;
    return this.#fire(() => this.#due("wall", now));
  }

  /** All inputs have ended. */
  end(): void | Promise<void> {
    this.#watermark = Infinity;
    const set = new Set(this.#timers.values());
    return this.#fire(() => this.#due("event", Infinity, set));
  }

  /** The actor stops, or the event's deadline is over: `ctx.signal` aborts. */
  stop(): void {
    this.#stop.abort(new Error("stopped"));
  }

  /** Lets entries go, as the engine does with what is in its store: who wants one asks again. */
  release(): void {
    for (const entries of this.#entries) {
      for (const [id, entry] of entries) {
        entry.isReleased = true;
        const again = new TwinEntry(entry.key, entry.part);
        again.value = entry.value;
        entries.set(id, again);
      }
    }
  }

  /** Goes on with the state and the timers of another one, as newer code does. */
  adopt(older: OperatorTwin): void {
    for (const [i, entries] of older.#entries.entries()) for (const [id, entry] of entries) this.#entries[i]?.set(id, entry);
    for (const [id, timer] of older.#timers) this.#timers.set(id, timer);
  }

  get timers(): readonly SetTimer[] {
    return [...this.#timers.values()].sort(byTimeKeyName);
  }

  /** Data of what was emitted. */
  get data(): readonly unknown[] {
    return this.out.map((emitted) => emitted.data);
  }

  /** A key's state as its user sees it. */
  state(key: Key): unknown {
    const step = this.#specs.findIndex((spec) => spec.state === "key");
    const kept = [...(this.#entries[step] as Map<string, TwinEntry>).values()].filter((entry) => entry.key === key);
    const view = this.#specs[step]?.view;
    return view === undefined ? kept[0]?.value : view(kept);
  }

  query(key: Key, name: string, ...args: readonly unknown[]): unknown {
    const spec = this.#specs.find(({ queries }) => queries?.[name] !== undefined);
    const ask = spec?.queries?.[name] as ((...all: unknown[]) => unknown) | undefined;
    if (ask === undefined) throw new Error(`no operator answers "${name}"`);
    return ask(this.state(key), ...args);
  }

  #environment(step: number): StepEnvironment {
    const entries = this.#entries[step] as Map<string, TwinEntry>;
    const underWay = new Set<Context>();
    return {
      next: (data, scope) => {
        if (underWay.has(scope.ctx)) throw new Error("next was called before what it returned was done");
        const pending = this.#pass(step + 1, data, scope);
        if (pending === undefined) return;
        underWay.add(scope.ctx);
        return pending.finally(() => underWay.delete(scope.ctx));
      },
      output: (name, data, scope) => void (this.further[name] ??= []).push(emitted(data, scope)),
      isRead: (name) => this.#read.has(name),
      deadLetter: (code, message, data, scope) => void this.deadLetters.push({ code, message, ...emitted(data, scope) }),
      late: () => void this.lateCount++,
      watermark: () => this.#watermark,
      entry: (key, part) => {
        const id = `${typeof key}/${key}/${part}`;
        const entry = entries.get(id) ?? new TwinEntry(key, part);
        entries.set(id, entry);
        return entry;
      },
      set: (entry, value) => {
        const kept = entry as TwinEntry;
        if (kept.isReleased) throw new Error("an entry was set that had been let go: ask for it again after a wait");
        kept.value = frozen(value);
      },
      setTimer: (key, name, time, clock = "event") => void this.#timers.set(`${step}/${typeof key}/${key}/${name}`, { step, key, name, time, clock }),
      cancelTimer: (key, name) => void this.#timers.delete(`${step}/${typeof key}/${key}/${name}`),
      now: () => this.now,
    };
  }

  #pass(step: number, data: unknown, scope: Scope): void | Promise<void> {
    const next = this.#steps[step];
    if (next !== undefined) return next.on(frozen(data), scope);
    this.out.push(emitted(frozen(data), scope));
  }

  #due(clock: "event" | "wall", until: number, among?: ReadonlySet<SetTimer>): SetTimer | undefined {
    return this.timers.find((timer) => timer.clock === clock && timer.time <= until && (among === undefined || among.has(timer)));
  }

  #fire(due: () => SetTimer | undefined): void | Promise<void> {
    for (let timer = due(); timer !== undefined; timer = due()) {
      const { step, key, name, time } = timer;
      this.#timers.delete(`${step}/${typeof key}/${key}/${name}`);
      const pending = (this.#steps[step] as Step).onTimer?.(name, this.#scope(time, key));
      if (pending !== undefined) return pending.then(() => this.#fire(due));
    }
  }

  #scope(time: number, key: Key | undefined): Scope {
    const id = String(++this.#events);
    const ctx: Context = {
      event: { id, type: "test.in", time, source: "test/in/0", ...(key === undefined ? {} : { key }) },
      actor: "test/stage/0", attempt: 1, signal: this.#stop.signal,
      log: { debug() {}, info() {}, warn() {}, error() {} },
      now: () => this.now,
    };
    const at = (then: number, type?: string): Scope => ({ time: then, key, type, ctx, at });
    return at(time, undefined);
  }
}

function emitted(data: unknown, { time, key, type }: Scope): Emitted {
  return { data, time, key, type };
}

function byTimeKeyName(a: SetTimer, b: SetTimer): number {
  const [left, right] = [String(a.key), String(b.key)];
  if (a.time !== b.time) return a.time - b.time;
  if (left !== right) return left < right ? -1 : 1;
  return a.name < b.name ? -1 : 1;
}

function frozen<T>(value: T): T {
  if (typeof value === "object" && value !== null && !Object.isFrozen(value) && !ArrayBuffer.isView(value)) {
    Object.freeze(value);
    for (const part of Object.values(value)) frozen(part);
  }
  return value;
}
