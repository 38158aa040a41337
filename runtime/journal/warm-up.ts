// A journal is brought up to its log while another owner goes on: whoever starts the actor here then has only the rest to read. Claims nothing
// (I1) and judges nothing: what it leaves is a prefix of the log, like any journal (I4), and recovery judges it.
import { crc32 } from "node:zlib";
import { Journal } from "./journal.ts";
import { isUsed, loadFromLog, type ReadingOptions, readTail } from "./recovery.ts";

/** So few records are left to whoever starts: they are read without a consumer; and so often what came meanwhile is read, too. */
const enough = 8, rounds = 12;

/** @throws MillraceError where the log cannot be read now, or its owner purges it meanwhile: what is left then is begun anew by recovery */
export async function warmUp(options: ReadingOptions): Promise<void> {
  const { where, log, stores, store: name } = options, store = await stores.open(name);
  try {
    const journal = new Journal(store, where), reading = { ...options, claim: undefined }, { head } = journal;
    if (head === undefined ? await isUsed(store) : crc32((await log.get(head.seq))?.data ?? new Uint8Array()) !== head.crc) return;
    for (let round = 0; round < rounds; round++) {
      const end = (await log.last())?.seq ?? 0, at = journal.head?.seq;
      if (end - (at ?? 0) <= (at === undefined ? 0 : enough)) return;
      if (at === undefined) await loadFromLog(reading, journal, end);
      else await readTail(reading, journal, at + 1, end);
    }
  } finally {
    await store.close();
  }
}
