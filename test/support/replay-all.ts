// What recovery gives, replayed in one go: as a life does that has no head start.
import type { Actor } from "../../runtime/actor/actor.ts";
import type { RecordKeeper } from "../../runtime/actor/record-keeper.ts";
import { Replay, type Replayed } from "../../runtime/actor/replay.ts";
import type { Recovered } from "../../runtime/journal/recovery.ts";

export async function replayAll(actor: Actor, { journal, folded, records }: Pick<Recovered, "journal" | "folded" | "records">, keeper: RecordKeeper): Promise<Replayed> {
  const replay = new Replay(actor, keeper);
  await replay.load(journal, folded);
  await replay.take(records());
  return replay.end();
}
