// What is behind a stream or a sink at run time: the ways that lead into whoever reads it. Plain data.
import { type CallSite, callSite } from "./call-site.ts";
import type { StageDraft } from "./draft.ts";

/** One way into a stage: the output of a stage, and the key by which it is taken. Merged streams have several. */
export interface Way {
  readonly stage: StageDraft;
  /** "" is the stage's own stream. */
  readonly output: string;
  /** What `keyBy` was given; `undefined` where it was not called. */
  readonly key?: { readonly by: unknown; readonly site?: CallSite };
}

/** Something that is no stream and was merged with one. */
export interface NoWay {
  readonly stage?: undefined;
  readonly given: unknown;
  readonly site: CallSite;
}

const ways = Symbol.for("millrace.stream");
const sunk = Symbol.for("millrace.sunk");

/** Names of what every handle has, and "then", which would make a promise of it: no output may be named so. */
export const reserved: ReadonlySet<string> = new Set(["keyBy", "merge", "then"]);

class StreamHandle {
  declare readonly [ways]: readonly (Way | NoWay)[];

  constructor(list: readonly (Way | NoWay)[]) {
    Object.defineProperty(this, ways, { value: list });
  }

  keyBy(by: unknown): StreamHandle {
    const key = typeof by === "function" ? { by } : { by, site: callSite(this.keyBy) };
    return new StreamHandle(this[ways].map((way) => (way.stage ? { ...way, key } : way)));
  }

  merge(...others: readonly unknown[]): StreamHandle {
    return new StreamHandle([...this[ways], ...others.flatMap((other) => waysOf(other) ?? { given: other, site: callSite(this.merge) })]);
  }
}

class SinkHandle {
  declare readonly [sunk]: StageDraft;

  constructor(stage: StageDraft) {
    Object.defineProperty(this, sunk, { value: stage });
  }
}

/** The handle of a source or a processor, with its further outputs as properties. */
export function streamOf(stage: StageDraft, outputs: readonly string[]): object {
  const handle = new StreamHandle([{ stage, output: "" }]);
  for (const output of new Set(outputs)) {
    if (!reserved.has(output)) Object.defineProperty(handle, output, { value: new StreamHandle([{ stage, output }]), enumerable: true });
  }
  return handle;
}

export function sinkHandleOf(stage: StageDraft): object {
  return new SinkHandle(stage);
}

/** The ways of a stream, with or without a key; `undefined` where the value is none. */
export function waysOf(value: unknown): readonly (Way | NoWay)[] | undefined {
  return typeof value === "object" && value !== null ? (value as Partial<StreamHandle>)[ways] : undefined;
}

/** The stage of a sink's handle; `undefined` where the value is none. */
export function sunkBy(value: unknown): StageDraft | undefined {
  return typeof value === "object" && value !== null ? (value as Partial<SinkHandle>)[sunk] : undefined;
}
