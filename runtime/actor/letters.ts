// Dead letters that are taken back: replayed or dropped, when somebody asks, exactly once.
//
// The actor that gave an event up takes it back itself. It reads the letter from its own chain, lets the event go in where it had
// come to, and commits in one record what that did, a mark in its state that the letter is settled, and a settlement that goes onto
// the chain behind it, for all who look. So it is exactly once by construction: the journal is the memory. However a request ends,
// by a kill of who asked or of the node, at any moment, it can be made again: the mark answers it.
//
// L1. A letter is settled in the record that holds what its replay did, or not at all.
// L2. A request is kept in memory only: what dies with it changed nothing, and nobody tries it again by himself.
// L3. A replay that fails takes back what it did and costs no restart; the letter stays open.
import type { Stored } from "../broker/broker.ts";
import { asError, MillraceError } from "../event/errors.ts";
import type { EventInfo, Key } from "../event/event.ts";
import { decodeMessage, type Frame, rowData } from "../event/frame.ts";
import type { Actor } from "./actor.ts";
import { type DeadLetter, isLetter, isWhole, type Replay } from "./dead-letter.ts";
import { addressOf, deadStream, subjectsOf } from "./environment.ts";
import { lettersOperator } from "./state.ts";
import type { WaitingEntry } from "./waiting.ts";

/** What is asked for: the letter by its sequence in the stream and its place in the frame. */
export interface LetterOrder {
  readonly seq: number;
  readonly place: number;
  readonly action: "replay" | "drop";
  /** Who gave it up, where that is an actor of an earlier generation of this stage, whose state this one goes on with. */
  readonly of?: { readonly generation: string; readonly partition: number } | undefined;
}

/**
 * What came of it. `before`: by an earlier request. "failed": the letter stays open. "pending": it is not known yet, or the actor
 * was over before; to be asked again.
 */
export type LetterOutcome =
  | { readonly is: "replayed" | "dropped"; readonly before: boolean }
  | { readonly is: "failed"; readonly code: string; readonly message: string }
  | { readonly is: "pending" };

/** A letter that is at hand. */
export interface Recalled {
  /** Of all letters this one: each chain begins with number 1, and this actor may go on with the state of several. */
  readonly name: string;
  /** As in the settlement. */
  readonly of: string | undefined;
  readonly frame: number;
  readonly place: number;
  readonly attempts: number;
  readonly event: EventInfo;
  readonly data: unknown;
  readonly replay: Replay | undefined;
}

interface Asked {
  readonly order: LetterOrder;
  readonly outcome: Promise<LetterOutcome>;
  readonly tell: (outcome: LetterOutcome) => void;
  recalled: Recalled | undefined;
}

/** Letters that may be asked for at a time; more are "pending" at once. */
const mostAsked = 1_024;
/** Letters that are read before their turn. */
const readAhead = 16;
const marks = { replayed: 1, dropped: 2 } as const;

export class Letters {
  readonly #actor: Actor;
  readonly #queue: Asked[] = [];
  readonly #byNumber = new Map<string, Asked>();
  #reading = false;
  #closed = false;
  /** Read last: most letters that are asked for stand in one frame. */
  #frame: { readonly seq: number; readonly frame: Frame } | undefined;

  constructor(actor: Actor) {
    this.#actor = actor;
  }

  /** Resolves once it is committed, or refused. */
  ask(order: LetterOrder): Promise<LetterOutcome> {
    const number = `${order.seq}.${order.place}`, known = this.#byNumber.get(number);
    if (known !== undefined) return known.order.action === order.action ? known.outcome : Promise.resolve({ is: "pending" });
    if (this.#closed || this.#queue.length >= mostAsked) return Promise.resolve({ is: "pending" });
    let tell: Asked["tell"] = () => {};
    const asked: Asked = { order, outcome: new Promise((resolve) => { tell = resolve; }), tell: (outcome) => { this.#byNumber.delete(number); tell(outcome); }, recalled: undefined };
    this.#byNumber.set(number, asked);
    this.#queue.push(asked);
    void this.#read();
    return asked.outcome;
  }

  /**
   * The next one to be replayed, if it is here; it stays until `replayed` or `failed`. Those to be dropped are, and those that are
   * settled already are answered. To be called between two events only.
   */
  next(): Recalled | undefined {
    for (let asked = this.#queue[0]; asked !== undefined; asked = this.#queue[0]) {
      const { recalled, order } = asked;
      if (recalled === undefined) break;
      const { state, changes, waiting } = this.#actor.memory, mark = state.entry(lettersOperator, markKey(recalled), recalled.place).value;
      // After the end nothing more may be sent.
      if (mark === undefined && this.#actor.hasEnded) this.failed(new MillraceError("ENDED", this.#actor.address, "This stage has ended in this run", "Start a new run with what is to go in, or drop the letter."));
      else if (mark !== undefined) this.#over({ is: mark === marks.replayed ? "replayed" : "dropped", before: true });
      else if (order.action === "replay") {
        if (recalled.replay !== undefined) return recalled;
        this.#over({ is: "failed", code: "LETTER_FIXED", message: "what is kept of this event is not what came in, so it cannot go in again: export it and send it by hand, or drop it" });
      } else {
        const parked = this.parkedBy(recalled);
        if (parked !== undefined) waiting.done(parked);
        this.#settle(recalled, "dropped");
        changes.keep();
        this.#actor.events++;
        this.#over({ is: "dropped", before: false });
      }
    }
    return undefined;
  }

  /** The entry by which a letter holds its key. */
  parkedBy({ replay }: Recalled): WaitingEntry | undefined {
    const entry = replay?.parks == null ? undefined : this.#actor.memory.waiting.find(replay.parks);
    return entry?.isParked === true ? entry : undefined;
  }

  /** The one at hand went through: part of what its event did. */
  replayed(recalled: Recalled): void {
    this.#settle(recalled, "replayed");
    this.#over({ is: "replayed", before: false });
  }

  /** What the one at hand did is taken back. */
  failed(error: Error): void {
    const asked = this.#shift(), { name, message } = error;
    asked?.tell({ is: "failed", code: error instanceof MillraceError ? error.code : name, message });
  }

  /** The actor is over: what became of the rest is not known. */
  close(): void {
    this.#closed = true;
    for (const { tell } of this.#queue.splice(0)) tell({ is: "pending" });
  }

  #settle(recalled: Recalled, settled: "replayed" | "dropped"): void {
    const { memory: { state }, emitter, env: { clock } } = this.#actor, { frame, place, of } = recalled;
    state.set(state.entry(lettersOperator, markKey(recalled), place), marks[settled]);
    emitter.settled({ settled, frame, place, at: clock.now(), ...(of === undefined ? {} : { of }) });
  }

  // Told when it is committed: not before may anybody rely on it.
  #over(outcome: LetterOutcome): void {
    const asked = this.#shift();
    void this.#actor.whenCommitted().then((committed) => asked?.tell(committed ? outcome : { is: "pending" }));
  }

  #shift(): Asked | undefined {
    const asked = this.#queue.shift();
    if (this.#queue.length > 0) void this.#read();
    return asked;
  }

  async #read(): Promise<void> {
    if (this.#reading) return;
    this.#reading = true;
    for (let next = this.#unread(); next !== undefined && !this.#closed; next = this.#unread()) {
      const found = await this.#recall(next.order).catch((error: unknown) => asError(error));
      if (this.#closed) return;
      if (!(found instanceof Error)) next.recalled = found;
      else {
        this.#queue.splice(this.#queue.indexOf(next), 1);
        next.tell(found instanceof MillraceError && found.code !== "UNREACHABLE" ? { is: "failed", code: found.code, message: found.message } : { is: "pending" });
      }
      this.#actor.soon();
    }
    this.#reading = false;
  }

  #unread(): Asked | undefined {
    return this.#queue.slice(0, readAhead).find(({ recalled }) => recalled === undefined);
  }

  async #recall({ seq, place, of }: LetterOrder): Promise<Recalled> {
    const { env, stage, generation, partition } = this.#actor, whose = of ?? { generation, partition }, address = addressOf(env.flow, stage, whose.partition), frame = await this.#frameAt(seq, address, whose), row = frame?.rows[place], letter = row === undefined ? undefined : rowData(row, frame?.shapes ?? []);
    if (frame === undefined || !isLetter(letter) || !isWhole(letter)) throw new MillraceError("NOT_FOUND", `${address} ${seq}.${place}`, `There is no dead letter ${seq}.${place} of ${address} in this run`, "`millrace dlq list` names them; they are kept for 30 days.");
    const { event: { data, key, ...event }, attempts, replay } = letter as DeadLetter;
    const chain = `${address}@${whose.generation}`;
    return { name: `${chain} ${frame.seq}.${place}`, of: of === undefined ? undefined : chain, frame: frame.seq, place, attempts, event: key === null ? event : { ...event, key }, data, replay };
  }

  async #frameAt(seq: number, address: string, { generation, partition }: NonNullable<LetterOrder["of"]>): Promise<Frame | undefined> {
    let known = this.#frame;
    if (known?.seq !== seq) {
      const { env: { broker, flow }, stage } = this.#actor;
      const stored: Stored | undefined = await broker.stream(deadStream(flow.name), subjectsOf(flow.name, stage.name, generation, partition).dead).get(seq);
      this.#frame = known = stored === undefined ? undefined : { seq, frame: decodeMessage(stored.data) };
    }
    return known?.frame.from === address && known.frame.generation === generation ? known.frame : undefined;
  }
}

/** Marks of letters of earlier generations stand under whose they were: numbers of frames begin anew with each chain. */
function markKey({ of, frame }: Recalled): Key {
  return of === undefined ? frame : `${of} ${frame}`;
}
