// The receiving side of an actor: which frame is the next of its channel, how far each mailbox is read, what time it is.
// PROTOCOL 6 and 9; exactly the next, never a bare maximum† (I5).
import type { Frame } from "../event/frame.ts";
import { sameTerm, type Term } from "../event/term.ts";
import type { Body } from "../journal/record.ts";

/** How many beginnings of terms are remembered for each channel (P17). */
const keptStarts = 16;

/** From one sender, its generation included, to one mailbox. */
export class Channel {
  readonly input: number;
  readonly from: string;
  readonly generation: string;
  /** Number accepted last, and its term; of the first frame to a new generation the one that its sender's barrier had†. */
  seq = 0;
  term: Term | null = null;
  /** Events already handled of the frame after it, and that frame's term†. */
  done = 0;
  begun: Term | null = null;
  /** The same of the frame taken last: ahead of what is accepted while its events are under way. */
  takenSeq = 0;
  takenTerm: Term | null = null;
  /** Numbers and terms of the frames that are taken and not yet accepted. */
  readonly open: (readonly [seq: number, term: Term])[] = [];
  starts: (readonly [seq: number, term: Term])[] = [];
  /** -Infinity: none yet. */
  watermark = -Infinity;
  caught = false;
  ended = false;
  /** The sender goes on with that generation of this stage: nothing more comes this way. */
  barrier: readonly [generation: string, count: number] | undefined;
  moved = false;
  changed = false;

  constructor(input: number, from: string, generation: string) {
    this.input = input;
    this.from = from;
    this.generation = generation;
  }
}

/** How far a mailbox is read: the last message wholly done, and its anchor† (round, sender, number). */
export interface Position {
  at: number;
  round: Uint8Array | null;
  from: string | null;
  seq: number;
}

/** "next": to be handled. "seen", "early": dropped; what came early comes again in order. "forked": the sender's history was written anew. */
export type Verdict = "next" | "seen" | "early" | "forked";

export class Inbound {
  readonly positions: (Position & { moved: boolean })[] = [];
  /** The message taken last from each mailbox: past the position while what it holds is being handled. */
  readonly reached: Position[] = [];
  readonly #channels = new Map<string, Channel>();
  #watermark = -Infinity;
  /** By mailbox and stage: of lower generations nothing is taken any more†. */
  readonly #floors = new Map<string, readonly [input: number, stage: string, generation: string]>();
  readonly #newFloors = new Set<string>();
  /**
   * Generations of a stage that are over, with the one that came after; found in this turn, and before. Forgotten with a later record
   * than the one that found it: that may fix a batch of what they sent (batch-again.ts).
   */
  readonly #over: (readonly [input: number, stage: string, generation: string])[] = [];
  readonly #due: (readonly [input: number, stage: string, generation: string])[] = [];
  #closedFor: readonly [generation: string, count: number] | undefined;

  static id(input: number, from: string, generation: string): string {
    return `${input} ${from}@${generation}`;
  }

  /** Declares a sender: until it has ended the actor waits for it†. */
  declare(input: number, from: string, generation: string): void {
    const id = Inbound.id(input, from, generation);
    if (!this.#channels.has(id)) this.#channels.set(id, new Channel(input, from, generation));
    this.positions[input] ??= { at: 0, round: null, from: null, seq: 0, moved: false };
  }

  channel(input: number, from: string, generation: string): Channel | undefined {
    return this.#channels.get(Inbound.id(input, from, generation));
  }

  /**
   * Whether a sender, of which nothing was read before, is of a later generation of a stage than one whose end was not seen: who comes after
   * the old ones starts when all that these sent has arrived, so that proves a loss.
   */
  lacksBefore(input: number, from: string, generation: string): boolean {
    const run = generation.slice(0, generation.lastIndexOf("-") + 1), stage = stageOf(from);
    for (const c of this.#channels.values()) if (c.input === input && !c.ended && c.generation.startsWith(run) && ordinalOf(c.generation) < ordinalOf(generation) && stageOf(c.from) === stage) return true;
    return false;
  }

  get channels(): Iterable<Channel> {
    return this.#channels.values();
  }

  /** P16, P17. */
  judge(channel: Channel, frame: Pick<Frame, "seq" | "term" | "before">): Verdict {
    if (frame.seq === channel.takenSeq + 1) {
      if (!sameTerm(frame.before, channel.takenTerm)) return "forked";
      return channel.seq === channel.takenSeq && channel.done > 0 && !sameTerm(frame.term, channel.begun) ? "forked" : "next";
    }
    if (frame.seq > channel.takenSeq) return "early";
    if (frame.seq > channel.seq) return sameTerm(channel.open.find(([seq]) => seq === frame.seq)?.[1], frame.term) ? "seen" : "forked";
    for (let i = channel.starts.length - 1; i >= 0; i--) {
      const [seq, term] = channel.starts[i] as readonly [number, Term];
      if (seq <= frame.seq) return sameTerm(term, frame.term) ? "seen" : "forked";
    }
    return "seen";
  }

  /** The next frame is taken: its events are begun. */
  take(channel: Channel, frame: Frame): void {
    channel.takenSeq = frame.seq;
    channel.takenTerm = frame.term;
    channel.open.push([frame.seq, frame.term]);
  }

  /** Some events of the next frame are done. */
  advance(channel: Channel, frame: Frame, done: number): void {
    channel.done = done;
    channel.begun = frame.term;
    channel.moved = true;
  }

  /** The next frame is wholly done. */
  accept(channel: Channel, frame: Frame): void {
    if (channel.starts.length === 0 || !sameTerm(frame.term, channel.term)) {
      channel.starts.push([frame.seq, frame.term]);
      if (channel.starts.length > keptStarts) channel.starts.shift();
    }
    channel.open.shift();
    channel.seq = frame.seq;
    channel.term = frame.term;
    channel.done = 0;
    channel.begun = null;
    channel.moved = true;
    if (frame.watermark !== null && frame.watermark > channel.watermark) {
      channel.watermark = frame.watermark;
      channel.changed = true;
      this.#lift();
    }
    if (frame.note?.[0] === "caught") channel.caught = channel.changed = true;
    const { note } = frame;
    if (note?.[0] === "end" || note?.[0] === "sealed") {
      channel.ended = channel.changed = true;
      if (note[0] === "sealed") this.#succeed(channel, note[1], note[2]);
      this.#lift();
    }
    if (note?.[0] === "barrier") {
      channel.barrier = [note[1], note[2]];
      channel.changed = true;
    }
    if (note?.[0] === "end" || note?.[0] === "barrier") this.#align();
  }

  // The sender's generation is over: the actors of the next one are declared, at the watermark and caught-up reached†.
  #succeed({ input, from, generation: old, watermark, caught }: Channel, generation: string, count: number): void {
    const stage = stageOf(from);
    for (let p = 0; p < count; p++) {
      const id = Inbound.id(input, `${stage}/${p}`, generation), known = this.#channels.get(id);
      if (known === undefined) this.declare(input, `${stage}/${p}`, generation);
      const successor = this.#channels.get(id) as Channel;
      // Of all that came before it the least: nothing of its own is here yet.
      if (known === undefined || watermark < known.watermark) successor.watermark = watermark;
      successor.caught = caught && (known === undefined || known.caught);
      successor.changed = true;
    }
    this.#findOver(input, stage, old, generation);
  }

  #findOver(input: number, stage: string, old: string, generation: string): void {
    for (const c of this.#channels.values()) if (c.input === input && c.generation === old && stageOf(c.from) === stage && !c.ended) return;
    this.#over.push([input, stage, generation]);
  }

  #forget(input: number, stage: string, generation: string): void {
    for (const [id, c] of this.#channels) if (c.input === input && stageOf(c.from) === stage && ordinalOf(c.generation) < ordinalOf(generation)) this.#channels.delete(id);
    this.#floors.set(`${input} ${stage}`, [input, stage, generation]);
  }

  // †All of those who feed it, one barrier at least.
  #align(): void {
    let barrier: Channel["barrier"];
    for (const c of this.#channels.values()) {
      if (!c.ended && c.barrier === undefined) return;
      barrier ??= c.barrier;
    }
    this.#closedFor = barrier;
  }

  /** All who feed it have ended or gone on with this generation of its stage: nothing more comes. */
  get closedFor(): readonly [generation: string, count: number] | undefined {
    return this.#closedFor;
  }

  /** A message of the mailbox is wholly done, or dropped. */
  moveTo(input: number, at: number, round: Uint8Array | null, from: string | null, seq: number): void {
    const position = this.positions[input] as Position & { moved: boolean };
    position.at = at;
    position.round = round;
    position.from = from;
    position.seq = seq;
    position.moved = true;
  }

  /** Nothing with time <= this comes any more: the least over the declared channels†, ended ones excepted. It only rises. */
  get watermark(): number {
    return this.#watermark;
  }

  get ended(): boolean {
    for (const channel of this.#channels.values()) if (!channel.ended) return false;
    return true;
  }

  #lift(): void {
    let least = Infinity;
    for (const channel of this.#channels.values()) if (!channel.ended && channel.watermark < least) least = channel.watermark;
    if (least > this.#watermark) this.#watermark = least;
  }

  /** Whether anything moved since the last record. */
  get moved(): boolean {
    return this.positions.some((position) => position.moved);
  }

  /** What a record says: what moved, or all of it. */
  write(body: Body, whole: boolean): void {
    if (!whole) for (const [input, stage, generation] of this.#due.splice(0)) {
      this.#forget(input, stage, generation);
      this.#newFloors.add(`${input} ${stage}`);
    }
    const inputs = this.positions.flatMap((p, input) => (whole || p.moved ? [[input, p.at, p.round, p.from, p.seq] as const] : []));
    const cursors: NonNullable<Body["cursors"]> = [], states: NonNullable<Body["channels"]> = [];
    for (const c of this.#channels.values()) {
      if (whole || c.moved) cursors.push([c.input, c.from, c.generation, c.seq, c.term, c.done, c.begun, c.starts.slice()]);
      if (whole || c.changed) {
        const state = [c.input, c.from, c.generation, c.watermark === -Infinity ? null : c.watermark, c.caught, c.ended] as const;
        states.push(c.barrier === undefined ? state : [...state, c.barrier]);
      }
      if (!whole) c.moved = c.changed = false;
    }
    if (!whole) for (const position of this.positions) position.moved = false;
    if (inputs.length > 0) body.inputs = inputs;
    if (cursors.length > 0) body.cursors = cursors;
    if (states.length > 0) body.channels = states;
    const floors = [...this.#floors].flatMap(([name, floor]) => (whole || this.#newFloors.has(name) ? [floor] : []));
    if (floors.length > 0) body.floors = floors;
    if (whole) return;
    this.#newFloors.clear();
    this.#due.push(...this.#over.splice(0));
  }

  /** Replay. */
  apply(body: Body): void {
    for (const [input, at, round, from, seq] of body.inputs ?? []) this.positions[input] = { at, round, from, seq, moved: false };
    for (const [input, from, generation, seq, term, done, begun, starts] of body.cursors ?? []) {
      this.declare(input, from, generation);
      const channel = this.channel(input, from, generation) as Channel;
      Object.assign(channel, { seq, term, done, begun, starts: [...starts], takenSeq: seq, takenTerm: term });
      channel.open.length = 0;
    }
    for (const [input, from, generation, watermark, caught, ended, barrier] of body.channels ?? []) {
      this.declare(input, from, generation);
      Object.assign(this.channel(input, from, generation) as Channel, { watermark: watermark ?? -Infinity, caught, ended, barrier });
    }
    for (const [input, stage, generation] of body.floors ?? []) this.#forget(input, stage, generation);
    if (body.channels !== undefined || body.floors !== undefined) {
      this.#lift();
      this.#align();
    }
  }

  /** Replay is over: what it had yet to forget. */
  replayed(): void {
    const newest = new Map<string, Channel>();
    for (const c of this.#channels.values()) {
      const name = `${c.input} ${stageOf(c.from)}`, known = newest.get(name);
      if (known === undefined || ordinalOf(c.generation) > ordinalOf(known.generation)) newest.set(name, c);
    }
    for (const c of this.#channels.values()) {
      const { input, generation } = newest.get(`${c.input} ${stageOf(c.from)}`) as Channel;
      if (c.generation !== generation && !this.#over.some(([i, stage]) => i === input && stage === stageOf(c.from))) this.#findOver(input, stageOf(c.from), c.generation, generation);
    }
  }
}

/** Address of a stage, of that of one of its actors. */
function stageOf(actor: string): string {
  return actor.slice(0, actor.lastIndexOf("/"));
}

/** The number of a generation within its run. */
function ordinalOf(generation: string): number {
  return Number(generation.slice(generation.lastIndexOf("-") + 1));
}
