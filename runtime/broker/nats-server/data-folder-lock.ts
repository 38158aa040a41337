// One run at a time on one data folder. Node has no file locks, so the lock is a file that names its holder: pid and when that process
// began. A holder that is gone (SIGKILL, power loss) leaves its file, and exactly one of those who come after replaces it.
import { mkdir, open, readFile, realpath, rename, unlink } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { MillraceError } from "../../event/errors.ts";
import { pidSpace, startOf } from "./process-identity.ts";

interface Holder {
  /** Of this taking, not of the process. */
  readonly id: string;
  readonly pid: number;
  readonly start: string;
  readonly space: string;
}

export interface DataFolderLock {
  /** The real path of the data folder, the same by whatever link or relative path it was given. */
  readonly path: string;
  /** Gives it back. Again is no error. */
  release(): Promise<void>;
}

const attempts = 40;
const retryMs = 50;

/**
 * Takes the lock of a data folder, which is made where it is not there. Waits at most 2 s, and only for others that are just taking it.
 *
 * @throws MillraceError DATA_FOLDER_BUSY while another run has it (of this process, too), DATA_FOLDER_INVALID where it cannot be made or written
 */
export async function lockDataFolder(dataDir: string): Promise<DataFolderLock> {
  const path = await mkdir(dataDir, { recursive: true }).then(() => realpath(dataDir)).catch((error: Error) => {
    throw invalid(dataDir, error);
  });
  const file = join(path, "run.lock");
  const mine: Holder = { id: crypto.randomUUID(), pid: process.pid, start: (await startOf(process.pid)) ?? "", space: await pidSpace() };
  for (let attempt = 0; attempt < attempts; attempt++) {
    if ((await create(file, mine)) || (await replaceStale(file, mine))) return { path, release: () => remove(file, mine.id) };
    await delay(retryMs);
  }
  throw new MillraceError("DATA_FOLDER_BUSY", dataDir, "other runs are just taking this data folder", "Start again in a moment.");
}

async function create(file: string, mine: Holder): Promise<boolean> {
  const handle = await open(file, "wx", 0o644).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "EEXIST") return undefined;
    throw invalid(file, error);
  });
  if (handle === undefined) return false;
  await handle.writeFile(JSON.stringify(mine));
  await handle.close();
  return true;
}

/** Whether the lock of a holder that is gone is now ours. Throws where the holder lives; false: look again. */
async function replaceStale(file: string, mine: Holder): Promise<boolean> {
  const holder = await read(file);
  if (holder === undefined) return false;
  const busy = (message: string, remedy: string) => new MillraceError("DATA_FOLDER_BUSY", file, message, remedy);
  if (holder !== "torn") {
    if (holder.space !== mine.space) {
      throw busy(`process ${holder.pid} of another host or container (${holder.space}) has this data folder`, `Stop that run, or choose another folder with --data-dir. If it is gone for certain, delete ${file}.`);
    }
    if ((await startOf(holder.pid)) === holder.start) {
      const who = holder.pid === process.pid ? "another run of this process" : `process ${holder.pid}`;
      throw busy(`${who} has this data folder`, "Stop that run, or choose another folder with --data-dir.");
    }
  }
  // Who makes this file may replace that one holder's lock, and nobody else: so the lock cannot change between the look and the rename.
  const successor = `${file}.after-${holder === "torn" ? "torn" : holder.id}`;
  if (!(await create(successor, mine))) {
    const other = await read(successor);
    if (other === "torn" || (other !== undefined && (await startOf(other.pid)) !== other.start)) await unlink(successor).catch(gone);
    return false;
  }
  const now = await read(file);
  const unchanged = now !== undefined && (now === "torn" ? holder === "torn" : holder !== "torn" && now.id === holder.id);
  if (!unchanged) {
    await unlink(successor).catch(gone);
    return false;
  }
  await rename(successor, file);
  return true;
}

/** "torn": its maker was killed between making and writing it (or is just doing so, which the wait below lets pass). */
async function read(file: string): Promise<Holder | "torn" | undefined> {
  for (let look = 0; look < 4; look++) {
    const text = await readFile(file, "utf8").catch(gone);
    if (text === undefined) return undefined;
    try {
      return JSON.parse(text) as Holder;
    } catch {
      await delay(retryMs);
    }
  }
  return "torn";
}

async function remove(file: string, id: string): Promise<void> {
  const holder = await read(file);
  if (holder !== undefined && holder !== "torn" && holder.id === id) await unlink(file).catch(gone);
}

function invalid(where: string, cause: Error): MillraceError {
  return new MillraceError("DATA_FOLDER_INVALID", where, `the data folder cannot be written: ${cause.message}`, "Choose another one with --data-dir.", { cause });
}

function gone(error: NodeJS.ErrnoException): undefined {
  if (error.code !== "ENOENT") throw error;
  return undefined;
}
