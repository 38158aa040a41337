// The behaviour of a source: reads its splits from their positions, and commits positions and events in one record (P26).
import { setMaxListeners } from "node:events";
import { plain } from "../event/codec.ts";
import { asError, MillraceError } from "../event/errors.ts";
import { instant, isKey } from "../event/event.ts";
import type { SourcePlan } from "../flow/plan.ts";
import type { PullSource, SourceContext } from "../flow/source.ts";
import { isPromise } from "../flow/display.ts";
import type { Body, CommitRecord } from "../journal/record.ts";
import type { Actor } from "./actor.ts";
import type { Behaviour } from "./behaviour.ts";
import { fateOf } from "./failure.ts";
import { type Positioned, Split, splitOwner, type Validated } from "./split.ts";

/** Splits are asked for again so often, in ms. */
const splitsEveryMs = 30_000;

export class SourceReader implements Behaviour {
  readonly #actor: Actor;
  readonly #plan: SourcePlan;
  readonly #source: PullSource<unknown, unknown>;
  readonly #splits = new Map<string, Split>();
  #draining = false;
  #closed = false;
  #suspendedUntil = -Infinity;
  #suspensions = 0;
  #splitsAt = Infinity;
  readonly #stop = new AbortController();

  constructor(actor: Actor, plan: SourcePlan) {
    this.#actor = actor;
    this.#plan = plan;
    this.#source = plan.source as PullSource<unknown, unknown>;
    // Each of its splits may listen to it.
    setMaxListeners(0, this.#stop.signal);
  }

  apply({ body }: CommitRecord): void {
    for (const [name, position, ended, watermark] of body.source ?? []) {
      const split = this.#splits.get(name) ?? new Split(name, position);
      Object.assign(split, { position, ended, watermark: watermark ?? -Infinity });
      this.#splits.set(name, split);
    }
  }

  write(body: Body, whole: boolean): void {
    const rows: NonNullable<Body["source"]> = [];
    for (const split of this.#splits.values()) {
      if (whole || split.moved) rows.push([split.name, plain(split.position), split.ended, split.watermark === -Infinity ? null : split.watermark]);
      if (!whole) split.moved = false;
    }
    if (rows.length > 0) body.source = rows;
  }

  async start(): Promise<void> {
    // No event of a user's code kills it: unclean ends are counted for processors only.
    this.#actor.memory.tries.calm();
    if (this.#source.splits === undefined) this.#add("");
    else await this.#askForSplits();
  }

  async #askForSplits(): Promise<void> {
    const { partition, stage, generation, env } = this.#actor;
    // How many share them. Where this node has not heard of its generation yet, or no more, none are added to what the log says.
    const count = [env.division(stage.name), env.generations?.next(stage.name), env.generations?.first(stage.name)].find((its) => its?.generation === generation)?.count;
    if (count !== undefined) for (const name of await (this.#source.splits as NonNullable<PullSource<unknown, unknown>["splits"]>)(this.#stop.signal)) {
      if (splitOwner(name, count) === partition) this.#add(name);
    }
    this.#splitsAt = env.clock.now() + splitsEveryMs;
  }

  #add(name: string): void {
    if (this.#splits.has(name)) return;
    const split = new Split(name, this.#source.start);
    split.moved = true;
    this.#splits.set(name, split);
  }

  work(): void {
    const { clock } = this.#actor.env, until = clock.monotonic() + this.#actor.pace.sliceMs;
    if (this.#draining) return;
    if (this.#actor.letters.next() !== undefined) this.#actor.letters.failed(notReplayable(this.#actor.address));
    if (clock.now() < this.#suspendedUntil) return;
    for (const split of this.#splits.values()) {
      if (this.#actor.full) return;
      if (clock.monotonic() >= until) return this.#actor.soon();
      this.#take(split);
      if (split.next === split.batch.length && !split.ended && !split.asking) void this.#ask(split);
      else if (split.asking) this.#idle(split);
    }
    if (this.#source.ends !== true && this.#source.splits !== undefined && clock.now() >= this.#splitsAt) {
      this.#splitsAt = Infinity;
      this.#askForSplits().then(() => this.#actor.soon(), (error: unknown) => this.#failed(error));
    }
  }

  #take(split: Split): void {
    const { emitter } = this.#actor, { changes } = this.#actor.memory, { outOfOrder } = this.#plan;
    for (const { raw, error } of split.batchLetters) this.#deadLetter("UNREADABLE", error, raw);
    split.batchLetters = [];
    const { batch, validated } = split;
    // Whole: the events of an array may share one position.
    for (let { next } = split; next < batch.length; split.next = ++next) {
      const reading = batch[next] as Positioned, checked = validated?.[next];
      split.position = reading.position;
      split.moved = true;
      if (!("data" in reading)) {
        const { watermark } = reading as { readonly watermark?: number };
        if (watermark !== undefined && watermark > split.watermark) split.watermark = watermark;
        continue;
      }
      emitter.save();
      if (checked?.refused !== undefined) this.#deadLetter("SCHEMA", checked.refused, reading.data);
      else {
        const data = checked === undefined ? reading.data : checked.value;
        try {
          const time = this.#timeOf(reading, data);
          emitter.emit("", data, time, reading.key, reading.type ?? this.#plan.type, reading.id ?? null);
          if (outOfOrder !== "any" && time - outOfOrder - 1 > split.watermark) split.watermark = time - outOfOrder - 1;
        } catch (error) {
          emitter.revert();
          const fate = fateOf(error, 1);
          this.#deadLetter(fate.is === "dead letter" ? fate.code : "KEY_INVALID", asError(error), data);
        }
      }
      changes.keep();
      this.#actor.taken++;
      this.#actor.events++;
    }
  }

  /** @throws MillraceError TIME_INVALID, KEY_INVALID; what user functions throw is about this one event, too. */
  #timeOf(reading: Positioned, data: unknown): number {
    const { time: timeOf } = this.#plan, { key } = reading;
    if (key !== undefined && !isKey(key)) throw new MillraceError("KEY_INVALID", this.#actor.address, `The key of an event is ${String(key).slice(0, 80)}`, "A key is a text of at most 512 bytes, in whole characters, or a safe integer.");
    let given: unknown = reading.time, why: unknown;
    if (timeOf !== undefined) try { given = timeOf(data); } catch (error) { why = error; }
    if (given === undefined && timeOf === undefined) return this.#actor.env.clock.now();
    const time = why === undefined ? instant(given) : undefined;
    if (time !== undefined) return time;
    const found = why === undefined ? `is ${String(given).slice(0, 80)}` : `cannot be read: ${asError(why).message}`;
    throw new MillraceError("TIME_INVALID", this.#actor.address, `The time of an event ${found}`, "Give ms since the epoch, a Date or ISO 8601 with a zone.");
  }

  #deadLetter(code: string, error: Error, raw: unknown): void {
    const { address, generation, env, emitter, stage } = this.#actor;
    const named = error instanceof MillraceError ? error.code : code;
    emitter.deadLetter(named, error, 1, { id: `${address}@${generation}`, type: `${env.flow.name}.${stage.name}`, time: env.clock.now(), source: address }, raw);
    this.#actor.events++;
  }

  // Asks for the next events: only now, when there is room, is the source called. That is the back-pressure.
  async #ask(split: Split): Promise<void> {
    const { clock } = this.#actor.env;
    split.asking = true;
    split.waitsSince = clock.monotonic();
    try {
      split.events ??= this.#source.read(split.position, this.#context(split))[Symbol.asyncIterator]();
      const { done, value } = await split.events.next();
      if (this.#stop.signal.aborted) return this.#answered(split);
      split.waitsSince = Infinity;
      this.#suspensions = 0;
      this.#actor.availability.resumed();
      if (done === true) {
        split.ended = true;
        split.moved = true;
        split.watermark = Infinity;
        split.batch = [];
        split.validated = undefined;
      } else {
        const batch = (Array.isArray(value) ? value : [value]) as readonly Positioned[], checked = this.#validate(batch);
        split.validated = await checked;
        if (this.#closed) return this.#answered(split);
        split.batch = batch;
      }
      split.batchLetters = split.letters;
      split.letters = [];
      split.next = 0;
      split.asking = false;
      this.#actor.pump();
    } catch (error) {
      split.asking = false;
      split.waitsSince = Infinity;
      split.events = undefined;
      // It reads from its position again, and gives them up again.
      split.letters = [];
      if (!this.#stop.signal.aborted) this.#failed(error);
    }
  }

  // Too late. What it holds open could not be closed while it ran.
  #answered(split: Split): void {
    split.asking = false;
    if (this.#closed) split.release();
  }

  #context(split: Split): SourceContext {
    const { address, env } = this.#actor;
    return { actor: address, split: split.name, signal: this.#stop.signal, log: env.log, deadLetter: (raw, error) => { split.letters.push({ raw, error }); } };
  }

  #validate(batch: readonly Positioned[]): Validated | Promise<Validated> | undefined {
    const { schema } = this.#plan;
    if (schema === undefined) return undefined;
    const results = batch.map(({ data }) => {
      const result = schema["~standard"].validate(data);
      return isPromise(result) ? Promise.resolve(result).then(validated) : validated(result);
    });
    return results.some(isPromise) ? Promise.all(results) : (results as Validated);
  }

  #failed(thrown: unknown): void {
    const fate = fateOf(thrown, 1), { env, address } = this.#actor;
    if (fate.is !== "unavailable" && fate.is !== "retry") return this.#actor.crash(thrown, `read from ${address}`);
    this.#suspendedUntil = env.clock.now() + Math.min(300_000, fate.afterMs * 2 ** Math.min(8, this.#suspensions++));
    this.#actor.availability.suspended(fate.error);
    this.#actor.pump();
  }

  // A split is silent only while the source waits for its next event; then it follows the wall clock (P27).
  #idle(split: Split): void {
    const { idleAfterMs, outOfOrder } = this.#plan, { clock } = this.#actor.env;
    if (outOfOrder === "any" || clock.monotonic() - split.waitsSince < idleAfterMs) return;
    const watermark = clock.now() - outOfOrder - 1;
    if (watermark <= split.watermark) return;
    split.watermark = watermark;
    split.moved = true;
  }

  get busy(): boolean {
    for (const split of this.#splits.values()) if (split.asking) return true;
    return false;
  }

  get closable(): boolean {
    return true;
  }

  get pending(): "now" | "later" | "nothing" {
    if (this.#actor.events > 0 || this.#actor.memory.tries.moved) return "now";
    for (const split of this.#splits.values()) if (split.moved) return "later";
    return "nothing";
  }

  get watermark(): number {
    let watermark = Infinity;
    for (const split of this.#splits.values()) if (!split.ended) watermark = Math.min(watermark, split.watermark);
    return watermark === Infinity && !this.finished ? -Infinity : watermark;
  }

  get finished(): boolean {
    if (this.#splits.size === 0) return this.#source.ends === true;
    for (const split of this.#splits.values()) if (!split.ended || split.batchLetters.length > 0) return false;
    return true;
  }

  get quiet(): boolean {
    return true;
  }

  closing(): void {}
  committed(): void {}

  get wake(): number {
    const { clock } = this.#actor.env;
    if (clock.now() < this.#suspendedUntil) return this.#suspendedUntil;
    let wake = this.#splitsAt;
    if (this.#plan.outOfOrder === "any" || this.#plan.idleAfterMs === Infinity) return wake;
    for (const { waitsSince } of this.#splits.values()) if (waitsSince !== Infinity) wake = Math.min(wake, Math.max(clock.now() + 200, clock.now() + waitsSince + this.#plan.idleAfterMs - clock.monotonic()));
    return wake;
  }

  drain(): Promise<void> {
    this.#draining = true;
    this.#stop.abort();
    return Promise.resolve();
  }

  finish(): Promise<void> {
    return Promise.resolve();
  }

  close(): Promise<void> {
    this.#stop.abort();
    this.#closed = true;
    // A source that hangs in the middle of reading must not hold up the end of its actor.
    for (const split of this.#splits.values()) if (!split.asking) split.release();
    return Promise.resolve();
  }
}

function validated(result: unknown): Validated[number] {
  const { issues, value } = result as { readonly issues?: readonly { readonly message: string; readonly path?: readonly unknown[] }[]; readonly value: unknown };
  if (issues === undefined) return { value, refused: undefined };
  const words = issues.slice(0, 4).map(({ message, path }) => (path === undefined || path.length === 0 ? message : `${path.map((part) => String((part as { key?: unknown }).key ?? part)).join(".")}: ${message}`));
  return { value: undefined, refused: new Error(words.join("; ")) };
}

const notReplayable = (where: string): MillraceError => new MillraceError("LETTER_FIXED", where, "What a source cannot read, or its schema refuses, goes in by the source alone", "Mend the input and start a new run, or drop the letter.");
