// A partition of a stage in a world, and the lives that its actor has there, one after the other or at once.
import type { Actor } from "../../runtime/actor/actor.ts";
import type { Division } from "../../runtime/actor/environment.ts";
import type { Exit } from "../../runtime/actor/exit.ts";
import type { StagePlan } from "../../runtime/flow/plan.ts";
import type { SimulatedNode } from "./node.ts";

/** One partition of one stage, whoever runs it. */
export class Slot {
  readonly stage: StagePlan;
  readonly partition: number;
  readonly address: string;
  readonly generation: string;
  /** Whose state it goes on with. */
  readonly from: Division | undefined;
  readonly lives = new Set<Life>();
  /** Its generation is over, and it has said so. */
  sealed = false;
  /** It ran once: its own snapshot is in its log. */
  ran = false;
  /** Node that it is started on, unless a fault says otherwise. */
  home: string;
  done = false;
  parked: Exit | undefined;
  starting = false;
  restarts = 0;

  constructor(stage: StagePlan, partition: number, address: string, home: string, generation: string, from?: Division) {
    this.generation = generation;
    this.from = from;
    this.stage = stage;
    this.partition = partition;
    this.address = address;
    this.home = home;
  }
}

export interface Life {
  readonly slot: Slot;
  readonly node: SimulatedNode;
  readonly actor: Actor;
  /** Counts the lives of all slots. */
  readonly number: number;
  over: boolean;
  /** It has its state back. */
  ran: boolean;
}
