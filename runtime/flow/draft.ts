// What the calls of a builder leave behind, unchecked and without defaults. validation.ts says what is wrong with it,
// assembly.ts makes a plan of it.
import type { CallSite } from "./call-site.ts";

export interface FlowDraft {
  readonly name: unknown;
  readonly options: unknown;
  /** In the order of the calls. A stage can only read what was declared before it, so the order is topological. */
  readonly stages: StageDraft[];
  readonly subflows: SubflowDraft[];
  readonly site: CallSite;
  /** Set when defineFlow is done: what is declared later is refused at once. */
  closed: boolean;
}

export interface StageDraft {
  readonly flow: FlowDraft;
  readonly kind: "source" | "processor" | "sink";
  /** As the author gave it. */
  readonly given: unknown;
  /** With the names of its sub-flows before it. */
  readonly name: string;
  /** Of the sub-flow that it is in, if any. */
  readonly subflow: SubflowDraft | undefined;
  /** A stream; nothing for a source. */
  readonly from: unknown;
  readonly options: unknown;
  /** What it does: a source, an operator, a sink. */
  readonly body: unknown;
  readonly site: CallSite;
}

export interface SubflowDraft {
  readonly given: unknown;
  /** Goes before the names of its stages, with a "-". */
  readonly name: string;
  readonly outer: SubflowDraft | undefined;
  readonly site: CallSite;
}

/** The name of something in a sub-flow. */
export function nameWithin(subflow: SubflowDraft | undefined, given: unknown): string {
  const own = typeof given === "string" ? given : typeof given;
  return subflow === undefined ? own : `${subflow.name}-${own}`;
}
