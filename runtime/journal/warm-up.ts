// A journal is brought up to its log while another owner goes on: whoever starts the actor here then has only the rest to read. Claims nothing
// (I1) and judges nothing: what it leaves is a prefix of the log, like any journal (I4), and recovery judges it.
import { crc32 } from "node:zlib";
import { Journal } from "./journal.ts";
import { isUsed, loadFromLog, type ReadingOptions, readTail } from "./recovery.ts";

/** So few records are left to whoever starts: they are read without a consumer; and so often what came meanwhile is read, too. */
const enough = 8, rounds = 12;

/** @throws MillraceError where the log cannot be read now, or its owner purges it meanwhile: what is left then is begun anew by recovery */
export async function warmUp(options: ReadingOptions): Promise<void> {
  const { journal } = (await openWarm(options)) ?? {};
  await journal?.store.close();
}

/**
 * The journal, open and brought up; `undefined` where it does not fit the log, or there is none yet. Throws as `warmUp` does; then nothing is left open.
 * `fellBack`: as of `Recovered`.
 */
export async function openWarm(options: ReadingOptions): Promise<{ readonly journal: Journal; readonly fellBack: boolean } | undefined> {
  const { where, log, stores, store: name } = options, store = await stores.open(name);
  let warm: { readonly journal: Journal; readonly fellBack: boolean } | undefined;
  try {
    const journal = new Journal(store, where), { head } = journal;
    if (head === undefined ? await isUsed(store) : crc32((await log.get(head.seq))?.data ?? new Uint8Array()) !== head.crc) return undefined;
    const fellBack = await catchUp(options, journal);
    return journal.head === undefined ? undefined : (warm = { journal, fellBack });
  } finally {
    if (warm === undefined) await store.close();
  }
}

/** Reads what the log has by now, and what comes meanwhile, until little is left. Gives whether it had to fall back on an older snapshot. */
export async function catchUp(options: ReadingOptions, journal: Journal): Promise<boolean> {
  const reading = { ...options, claim: undefined };
  let fellBack = false;
  for (let round = 0; round < rounds && !options.signal.aborted; round++) {
    const end = (await options.log.last())?.seq ?? 0, at = journal.head?.seq;
    if (end - (at ?? 0) <= (at === undefined ? 0 : enough)) break;
    if (at === undefined) fellBack = await loadFromLog(reading, journal, end);
    else await readTail(reading, journal, at + 1, end);
  }
  return fellBack;
}
