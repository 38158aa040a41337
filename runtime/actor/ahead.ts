// Several events under way at once: the first operators of a stage, as far as they keep no state, run ahead for up to
// `concurrency` events; what they gave is let go in the order of the input (PROTOCOL 8, concurrency).
import type { OperatorSpec, Scope } from "../flow/operator.ts";
import { type Chain, type ChainHost, type EventScope, openChain } from "./chain.ts";
import { DeadlineError } from "./failure.ts";
import type { Item } from "./item.ts";

interface Begun {
  readonly item: Item;
  readonly attempt: number;
  /** What the first operators gave, to be let go. */
  readonly effects: (() => void | Promise<void>)[];
  settled: boolean;
  error: { readonly thrown: unknown } | undefined;
  cancel: () => void;
  scope: EventScope | undefined;
  release: () => void | Promise<void>;
}

export class Ahead {
  /** How many events may be under way. */
  readonly concurrency: number;
  readonly #host: ChainHost;
  readonly #rest: Chain;
  readonly #scope: () => EventScope;
  readonly #deadlineMs: number;
  readonly #ready: () => void;
  readonly #queue: Begun[] = [];
  /** All operators. What the first ones give goes on at once, or is kept where the event at hand runs ahead. */
  readonly chain: Chain;

  /** How many of the first operators may run ahead; 0: none needs to. */
  static prefixOf(steps: readonly OperatorSpec[]): number {
    const stateful = steps.findIndex(({ state, eventTime }) => state !== undefined || eventTime === true);
    const free = steps.slice(0, stateful < 0 ? steps.length : stateful);
    return free.some(({ calls }) => (calls?.concurrency ?? 1) > 1) ? free.length : 0;
  }

  constructor(host: ChainHost, steps: readonly OperatorSpec[], prefix: number, rest: Chain, scope: () => EventScope, deadlineMs: number, ready: () => void) {
    this.#host = host;
    this.#rest = rest;
    this.#scope = scope;
    this.#deadlineMs = deadlineMs;
    this.#ready = ready;
    this.concurrency = Math.max(...steps.slice(0, prefix).map(({ calls }) => calls?.concurrency ?? 1));
    const give = (data: unknown, given: Scope): void | Promise<void> => {
      const { effects } = given.ctx as EventScope;
      if (effects === undefined) return rest.push(data, given);
      // The scope is written anew for the next event: what is kept is what it said.
      const kept = given.at(given.time, given.type);
      effects.push(() => this.#rest.push(data, kept));
    };
    const aside = (effect: () => void, given: Scope): void => {
      const { effects } = given.ctx as EventScope;
      if (effects === undefined) effect();
      else effects.push(effect);
    };
    const first = openChain(host, steps, 0, prefix, give, aside);
    this.chain = { push: first.push, enter: (operator, data, scope) => (operator < prefix ? first : rest).enter(operator, data, scope), fire: rest.fire };
  }

  get room(): boolean {
    return this.#queue.length < this.concurrency;
  }

  get idle(): boolean {
    return this.#queue.length === 0;
  }

  get first(): Begun | undefined {
    return this.#queue[0];
  }

  /** Something that is done when its turn comes. */
  add(item: Item, release: () => void): void {
    this.#queue.push({ item, attempt: 1, effects: [], settled: true, error: undefined, cancel: () => {}, scope: undefined, release });
  }

  /** Begins an event. */
  start(item: Item, push: (scope: EventScope) => void | Promise<void>): void {
    const effects: Begun["effects"] = [], scope = this.#scope();
    scope.effects = effects;
    const begun: Begun = { item, attempt: 1, effects, settled: false, error: undefined, cancel: () => {}, scope, release: () => release(effects, 0) };
    this.#queue.push(begun);
    const settle = (error?: { thrown: unknown }): void => {
      if (begun.settled) return;
      begun.cancel();
      scope.close();
      begun.settled = true;
      begun.error = error;
      if (this.#queue[0] === begun) this.#ready();
    };
    try {
      const result = push(scope);
      if (result === undefined) return settle();
      begun.cancel = this.#host.actor.env.clock.after(this.#deadlineMs, () => {
        const thrown = new DeadlineError(this.#deadlineMs);
        scope.abort(thrown);
        settle({ thrown });
      });
      result.then(() => settle(), (thrown: unknown) => settle({ thrown }));
    } catch (thrown) {
      settle({ thrown });
    }
  }

  /** The first one, if it is done. */
  settled(): Begun | undefined {
    const first = this.#queue[0];
    return first?.settled === true ? first : undefined;
  }

  shift(): void {
    this.#queue.shift();
  }

  /** Gives up all that are under way: they run again later. */
  abort(): void {
    for (const begun of this.#queue.splice(0)) {
      begun.cancel();
      begun.settled = true;
      begun.scope?.abort(new Error("an earlier event failed; this one runs again"));
    }
  }
}

function release(effects: readonly (() => void | Promise<void>)[], from: number): void | Promise<void> {
  for (let i = from; i < effects.length; i++) {
    const result = (effects[i] as () => void | Promise<void>)();
    if (result !== undefined) return result.then(() => release(effects, i + 1));
  }
}
