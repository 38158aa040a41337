// Where a mailbox is counted anew the positions in the logs mean nothing: a claim behind the last record says from where to read and what is
// settled, as that of a repair does (P31). Numbers, cursors and terms sort out the rest (P16, P17).
import type { Random } from "../event/clock.ts";
import { nextTerm } from "../event/term.ts";
import { type Body, encodeRecord } from "../journal/record.ts";
import type { authors } from "../repair/history.ts";
import type { ActorCopy } from "./actor-copy.ts";
import { mailboxName } from "./mailbox-copy.ts";

/** Where a node stands. */
const author: (typeof authors)[number] = "backup";

/** `undefined`: all that its log says holds. `anew`: names of the streams that are counted anew. */
export function claimOf(copy: ActorCopy, anew: ReadonlySet<string>, deadStream: string, random: Random): Uint8Array | undefined {
  const { history, log, flow } = copy, { last, sink } = history;
  if (last === undefined) return undefined;
  const resets: NonNullable<Body["inputs"]> = [], settled: NonNullable<Body["settled"]> = [];
  for (const input of history.positions.keys()) if (anew.has(mailboxName(copy, input))) resets.push([input, 0, null, null, 0]);
  for (const to of history.sent.values()) {
    const name = typeof to.target === "string" ? deadStream : mailboxName({ flow, stage: to.target[0], generation: to.target[1], partition: to.target[2] }, to.target[3]);
    if (to.settled > 0 && anew.has(name)) settled.push([to.target, to.settled, 0]);
  }
  if (resets.length === 0 && settled.length === 0) return undefined;
  const body: Body = { node: author, k: last.kind === "stop" ? 0 : history.k, ...(resets.length === 0 ? {} : { inputs: resets }), ...(settled.length === 0 ? {} : { settled }) };
  if (sink !== undefined && resets.length > 0) body.sink = { ...sink, from: { inputs: resets, cursors: sink.from.cursors } };
  return encodeRecord({ kind: "claim", n: last.n + 1, term: nextTerm(last.term[0], random), previous: log.last, code: last.code, body });
}
