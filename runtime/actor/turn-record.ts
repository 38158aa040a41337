// What the record of a turn is made of, when the turn is closed: time, end and seal, what changed, what goes out; and the same, whole, for a
// snapshot.
import type { Term } from "../event/term.ts";
import type { Body } from "../journal/record.ts";
import type { Actor } from "./actor.ts";
import type { ClosedFrame } from "./emitter.ts";
import { rowInfo } from "./event-info.ts";
import { frameReserve } from "./limits.ts";
import type { OwnTime } from "./own-time.ts";

/** Closes what the turn has gathered: its fields, and the frames that may leave once they are committed (I2). */
export function turnRecord(actor: Actor, time: OwnTime, kind: "turn" | "stop" | "attempt", term: Term, n: number): { readonly body: Body; readonly frames: readonly ClosedFrame[] } {
  const { behaviour, emitter, memory, sealing, address, generation, env: { clock, broker } } = actor, isTurn = kind === "turn", now = clock.monotonic(), body: Body = {};
  behaviour.closing();
  const seals = isTurn ? sealing.due : undefined, followsPlan = isTurn && !time.ended, { watermark, alone, ends } = time.close(behaviour, isTurn && sealing.promised === undefined, now, seals);
  if (seals !== undefined) sealing.since = now;
  if (isTurn && !time.ended) sealing.promise();
  const frames = emitter.close({ from: address, generation, term, n }, {
    watermark, watermarkAlone: alone, note: ends ? ["end"] : seals === undefined ? null : ["sealed", ...seals], followsPlan: followsPlan && !ends,
    limit: broker.maxPayload - frameReserve.bytes, info: (row) => rowInfo(address, generation, n, row, null),
  });
  // The last record says whether it has ended: others look at it.
  time.write(body, kind === "stop");
  memory.write(body);
  if (frames.length > 0) body.out = frames.map(({ outlet, seq, bytes }) => [outlet.target, seq, bytes]);
  emitter.write(body, false);
  behaviour.write(body, false);
  body.counts = actor.counts;
  return { body, frames };
}

/** All fields but the entries, which stand beside them: memory is exactly what it is as of the turn that was closed last. */
export function wholeRecord(actor: Actor, time: OwnTime): Body {
  const body: Body = { counts: actor.counts };
  time.write(body, true);
  actor.memory.writeWhole(body);
  actor.emitter.write(body, true);
  actor.behaviour.write(body, true);
  return body;
}
