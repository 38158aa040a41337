// Sending by rules of its own: as P10 to P13 say, or with one of them broken. Stands in for MailboxDelivery in a broken variant.
import { MailboxDelivery, type Outgoing } from "../../runtime/actor/delivery.ts";
import type { Appended } from "../../runtime/broker/broker.ts";
import type { Clock, Random } from "../../runtime/event/clock.ts";
import { message } from "../../runtime/event/frame.ts";
import { streamName } from "../../runtime/actor/environment.ts";
import { current } from "./feed.ts";
import { Lane } from "./scheduler.ts";
import type { World } from "./world.ts";

export interface DeliveryRules {
  /** "strict": acks of an ended round do not count. "selective": they do, and only what has none is sent again. */
  readonly acks: "strict" | "selective";
  /** What a reconnect does to a round: a new one begins, or it goes on, and what the old connection carried may still be acknowledged. */
  readonly reconnect: "new round" | "same round";
}

interface Sending {
  round: object;
  /** Number to send next. */
  next: number;
  inFlight: number;
  /** The connection, as far as a round that goes on knows. */
  lane: Lane | undefined;
}

/** What is protected of a delivery. */
interface Inner {
  readonly queue: Outgoing[];
  readonly options: { readonly clock: Clock; readonly random: Random };
  readonly stream: { readonly subject: string; append(data: Uint8Array): Promise<Appended> };
  readonly closed: boolean;
  readonly waiting: (() => void) | undefined;
  settle(): void;
  later(delays: { readonly min: number; readonly max: number }): void;
}

/** Puts it in place; returns what takes it away. */
export function breakDelivery(rules: DeliveryRules): () => void {
  const states = new WeakMap<object, Sending>(), { send, reconnected } = MailboxDelivery.prototype;
  const stateOf = (delivery: object): Sending => {
    let state = states.get(delivery);
    if (state === undefined) states.set(delivery, (state = { round: {}, next: 1, inFlight: 0, lane: undefined }));
    return state;
  };
  const endRound = (inner: Inner, state: Sending): void => {
    state.round = {};
    state.inFlight = 0;
    state.next = inner.queue[0]?.seq ?? state.next;
    if (rules.acks === "strict") for (const frame of inner.queue) frame.storedAt = 0;
  };
  const carry = (inner: Inner, state: Sending, data: Uint8Array): Promise<Appended> => {
    if (rules.reconnect === "new round") return inner.stream.append(data);
    const world = current.host as World, { scheduler, server } = world, { subject } = inner.stream, node = world.alive.find(({ clock }) => clock === inner.options.clock);
    if (state.lane === undefined) {
      const lane = (state.lane = new Lane(`${node?.name} survives ${subject}`, undefined, true));
      // What was given to the old connection comes at its own time; what is sent now goes another way.
      node?.broker.onConnection(() => { if (state.lane === lane) state.lane = undefined; });
    }
    return new Promise((resolve) => scheduler.add(state.lane as Lane, () => {
      const outcome = server.streams.get(streamName(subject))?.append(subject, data, undefined) ?? "missing";
      scheduler.alone(`${node?.name} ack ${subject}`, node, () => resolve(outcome));
    }));
  };
  const work = (delivery: MailboxDelivery): void => {
    const inner = delivery as unknown as Inner, state = stateOf(delivery);
    if (inner.closed || inner.waiting !== undefined) return;
    for (const frame of inner.queue) {
      if (frame.seq < state.next || state.inFlight >= 64) continue;
      state.next = frame.seq + 1;
      if (frame.storedAt > 0) continue;
      const { round } = state;
      state.inFlight++;
      void carry(inner, state, message(inner.options.random.bytes(8), frame.frame)).then((outcome) => {
        if (inner.closed || (round !== state.round && rules.acks === "strict")) return;
        if (round === state.round) state.inFlight--;
        if (typeof outcome === "number") {
          frame.storedAt = outcome;
          inner.settle();
          work(delivery);
        } else if (round === state.round) {
          endRound(inner, state);
          inner.later({ min: 5, max: 1_000 });
        }
      });
    }
  };
  MailboxDelivery.prototype.send = function (this: MailboxDelivery) { work(this); };
  MailboxDelivery.prototype.reconnected = function (this: MailboxDelivery) {
    const inner = this as unknown as Inner, state = stateOf(this);
    if (rules.reconnect === "new round") { endRound(inner, state); inner.waiting?.(); }
    work(this);
  };
  return () => Object.assign(MailboxDelivery.prototype, { send, reconnected });
}
