// Rare paths all the time: small turns, many snapshots, always in chunks.
import { turnLimit } from "../../runtime/actor/limits.ts";
import { snapshotEvery, snapshotSize } from "../../runtime/actor/snapshot.ts";

/** For all actors of this process. */
export function inSmallSteps(): void {
  turnLimit.events = 16;
  snapshotEvery.records = 12;
  snapshotSize.inlineBytes = 0;
  snapshotSize.chunkBytes = 300;
}
