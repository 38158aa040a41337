// What the records of the cluster's log come to, in their order: pure, and the same for all who read them. A record counts where it was written
// after the newest one before it that counts. One that was not is of somebody who had not noticed yet that NATS lost records, and whose
// number fitted by chance: it is passed over.
import { after, type ClusterState, emptyState, type PlacementRecord } from "./placement-record.ts";

export interface PlacementChain {
  /** Sequence of the newest message; 0: there is none. */
  readonly at: number;
  /** The newest record that counts. */
  readonly newest: PlacementRecord | undefined;
  readonly state: ClusterState;
  /** Sequences of the newest `lead` and the one before it. */
  readonly leads: readonly [newest: number, before: number];
  readonly sinceLead: number;
}

export const emptyChain: PlacementChain = { at: 0, newest: undefined, state: emptyState, leads: [0, 0], sinceLead: 0 };

/** `undefined`: the record does not count. */
export function extended(chain: PlacementChain, seq: number, record: PlacementRecord): PlacementChain | undefined {
  if (!counts(chain, record)) return undefined;
  const isLead = record.kind === "lead";
  return { at: seq, newest: record, state: after(chain.state, record), leads: isLead ? [seq, chain.leads[0]] : chain.leads, sinceLead: isLead ? 0 : chain.sinceLead + 1 };
}

/** What is before a `lead` may be purged: it holds all that was decided. And one may number on behind what NATS has lost. */
function counts({ newest, state }: PlacementChain, { kind, n, term, before }: PlacementRecord): boolean {
  if (newest === undefined) return kind === "lead";
  if (before !== newest.mark) return false;
  return kind === "lead" ? n > state.n && term >= state.term : n === state.n + 1 && term === state.term;
}

/** Whether what a log comes to is not older than what was known before. */
export function isAsNew({ term, n }: ClusterState, than: ClusterState): boolean {
  return term > than.term || (term === than.term && n >= than.n);
}
