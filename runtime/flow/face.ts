// The typed face of a flow: what its handles say to tests and clients. Types, but for the name of a stage.
import type { Key } from "../event/event.ts";
import { camelCase } from "./name.ts";
import type { FlowPlan, StagePlan } from "./plan.ts";
import type { PortsOf, Queries, Sink, State, Stream } from "./stream.ts";

/** Names in `X` whose handle is of kind `H`. */
export type NamesOf<X, H> = { [N in keyof X]: X[N] extends H ? N : never }[keyof X];
type NamesWithPort<X, P> = { [N in keyof X]: PortsOf<X[N]> extends P ? N : never }[keyof X];

/** Stages that keep state per key. */
export type Stateful<X> = NamesWithPort<X, State<Key, unknown>>;
/** Stages that answer queries. */
export type Queryable<X> = NamesWithPort<X, Queries<unknown>>;
/** Stages and sinks whose events can be looked at. */
export type Readable<X> = NamesOf<X, Stream<unknown> | Sink<unknown>>;

export type KeyOf<H> = PortsOf<H> extends State<infer K, unknown> ? K : never;
export type StateOf<H> = PortsOf<H> extends State<Key, infer S> ? S : never;
export type QueriesOf<H> = PortsOf<H> extends Queries<infer Q> ? Q : never;
export type Arguments<F> = F extends (...args: infer A) => unknown ? A : never;
export type Answer<F> = F extends (...args: never) => infer R ? R : never;

/** A stage by its own name (`by-region`) or as a flow returns it (`byRegion`); `undefined` where there is none. */
export function stageNamed(plan: FlowPlan, name: string): StagePlan | undefined {
  return plan.stages.find((stage) => stage.name === name) ?? plan.stages.find((stage) => camelCase(stage.name) === name);
}
