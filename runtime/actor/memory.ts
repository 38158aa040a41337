// All that an actor remembers, except what its behaviour keeps of its own: the fields of a record, in memory (I3). Records are
// made of what changed here; replay puts them back.
import type { StagePlan } from "../flow/plan.ts";
import type { Body } from "../journal/record.ts";
import type { Store } from "../journal/store.ts";
import { Changes } from "./change.ts";
import { Held } from "./held.ts";
import { Inbound } from "./inbound.ts";
import { State } from "./state.ts";
import { Timers } from "./timers.ts";
import { Tries } from "./tries.ts";
import { WaitingEvents } from "./waiting.ts";

export class Memory {
  readonly changes = new Changes();
  readonly inbound = new Inbound();
  readonly timers = new Timers(this.changes);
  readonly waiting = new WaitingEvents(this.changes);
  readonly held = new Held(this.changes);
  readonly tries = new Tries();
  readonly state: State;
  readonly #where: string;

  constructor(stage: StagePlan, where: string) {
    this.state = new State(stage.kind === "processor" ? stage.steps : [], this.changes, where);
    this.#where = where;
  }

  /** Ends the turn: what it changed goes into its record. */
  write(body: Body): void {
    this.inbound.write(body, false);
    const changed = this.changes.close();
    if (changed.length > 0) {
      const state = this.state.rows(changed), timers = this.timers.rows(changed), waiting = this.waiting.rows(changed), held = this.held.rows(changed);
      if (state.length > 0) body.state = state;
      if (timers.length > 0) body.timers = timers;
      if (waiting.length > 0) body.waiting = waiting;
      if (held.length > 0) body.held = held;
    }
    this.tries.write(body);
  }

  /** The small fields, whole: for a snapshot; the entries go beside them. */
  writeWhole(body: Body): void {
    this.inbound.write(body, true);
    this.tries.write(body);
  }

  /** Loads what is folded: state stays in the store until it is asked for. */
  async load(store: Store): Promise<void> {
    this.state.readFrom(store);
    for (const part of [this.timers, this.waiting, this.held]) await part.load(store, this.#where);
  }

  /** Replay of one record: recorded changes, no handler (I7). */
  apply(body: Body): void {
    this.inbound.apply(body);
    this.tries.apply(body);
    if (body.state !== undefined) this.state.apply(body.state);
    if (body.timers !== undefined) this.timers.apply(body.timers);
    if (body.waiting !== undefined) this.waiting.apply(body.waiting);
    if (body.held !== undefined) this.held.apply(body.held);
  }

  /** Replay is over: the first turn begins. */
  replayed(): void {
    this.held.replayed();
    this.inbound.replayed();
    this.changes.close();
  }
}
