// The public face of the runtime: what `import … from "millrace"` gives.
export { MillraceError, RetryableError, TerminalError, UnavailableError, type Problem } from "./event/errors.ts";
export { bytes, instant, isKey, millis, type Bytes, type Duration, type EventInfo, type FlowEvent, type Key, type Time } from "./event/event.ts";
export type { Awaitable, Context, EmitOptions, Emits, Logger, StatefulContext, Timer } from "./flow/context.ts";
export { defineOperator, stepsOf, type OperatorSpec, type Scope, type StateEntry, type Step, type StepEnvironment } from "./flow/operator.ts";
export { isPromise, sortOf } from "./flow/display.ts";
export { checkOptions, type Report, type Table } from "./flow/option-table.ts";
export type { EventTime, FlowOptions, LagRange, Place, Poison, ProcessorOptions, RunOptions, SourceOptions, StageOptions, Supervision } from "./flow/options.ts";
export { defineFlow, type Flow, type FlowBuilder, type Handles } from "./flow/flow.ts";
export { isSchema, type Schema } from "./flow/schema.ts";
export { defineSink, type Batch, type RepeatingSink, type SinkActor, type SinkContext, type TransactionalContext, type TransactionalSink, type Written } from "./flow/sink.ts";
export { defineSource, type Accept, type PullSource, type PushSource, type Reading, type SourceActor, type SourceContext, type Yielded } from "./flow/source.ts";
export type { DataOf, Input, Keyed, Operator, Outputs, Queries, Sink, Source, Stage, State, Stream } from "./flow/stream.ts";
export type { BrokerOptions } from "./node/broker-process.ts";
export type { Connection } from "./node/connection.ts";
export type { Node } from "./node/node.ts";
export type { NodeOptions } from "./node/options.ts";
export { startBroker, startNode } from "./start.ts";
