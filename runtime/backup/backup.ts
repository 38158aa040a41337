// Makes a backup: all flows that are asked for, each a state of its own (consistent-cut.ts), in a folder that gets its name when it is whole.
import { mkdir, open, readdir, rename, rm } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import type { Broker } from "../broker/broker.ts";
import type { Clock, Random } from "../event/clock.ts";
import { MillraceError } from "../event/errors.ts";
import { type CutOptions, cutOf } from "./consistent-cut.ts";
import { backupVersion, type FlowManifest, type Manifest, manifestFile, sumsFile, sumsText } from "./manifest.ts";

const sayMs = 2_000;

export interface BackupOptions extends Pick<CutOptions, "step"> {
  readonly broker: Broker;
  readonly clock: Clock;
  readonly random: Random;
  /** Must not be there yet, or be empty. */
  readonly folder: string;
  readonly flows: readonly string[];
  /** Where the sink of a stage writes, for people; default: not known. */
  readonly target?: (flow: string, stage: string) => string | undefined;
  /** A line about how far it is, every few seconds, and where something begins again. */
  readonly say?: (line: string) => void;
}

/**
 * Reads only; the flows may run. Interrupted it leaves `<folder>.partial`, which the next one removes.
 * @throws MillraceError FOLDER_NOT_EMPTY, FOLDER_UNWRITABLE, and what `cutOf` throws
 */
export async function backup({ broker, clock, random, folder, flows, target = () => undefined, say = () => {}, step }: BackupOptions): Promise<Manifest> {
  const path = resolve(folder), partial = `${path}.partial`;
  await checkFolder(path, partial);
  let bytes = 0, saidAt = clock.monotonic();
  const wrote = (more: number): void => {
    bytes += more;
    if (clock.monotonic() - saidAt < sayMs) return;
    saidAt = clock.monotonic();
    say(`${(bytes / 1024 / 1024).toFixed(1)} MiB copied`);
  };
  try {
    const done: FlowManifest[] = [];
    for (const flow of flows) {
      say(`${flow}: being copied`);
      done.push(await cutOf(flow, { broker, clock, random, folder: partial, target: (stage) => target(flow, stage), wrote, again: (why) => say(`${flow}: begins again, since ${why}`), step }));
    }
    const manifest: Manifest = { format: "millrace-backup", version: backupVersion, madeAt: clock.now(), server: broker.version, flows: done }, text = `${JSON.stringify(manifest, null, 1)}\n`;
    await write(join(partial, manifestFile), text);
    await write(join(partial, sumsFile), sumsText(manifest, text));
    await rm(path, { recursive: true, force: true });
    await rename(partial, path);
    await sync(dirname(path));
    return manifest;
  } catch (error) {
    await rm(partial, { recursive: true, force: true });
    throw error;
  }
}

async function checkFolder(path: string, partial: string): Promise<void> {
  const there = await readdir(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return [];
    throw unwritable(path, error);
  });
  if (there.length > 0) throw new MillraceError("FOLDER_NOT_EMPTY", path, `${path} is not empty`, "Name a new folder for each backup.");
  try {
    await rm(partial, { recursive: true, force: true });
    await mkdir(partial, { recursive: true });
  } catch (error) {
    throw unwritable(path, error as Error);
  }
}

const unwritable = (path: string, error: Error): MillraceError => new MillraceError("FOLDER_UNWRITABLE", path, `The backup cannot be written to ${path}: ${error.message}`, "Name a folder that this user may make.", { cause: error });

async function write(path: string, text: string): Promise<void> {
  const file = await open(path, "w");
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Best effort: some file systems know no sync of a folder. */
async function sync(folder: string): Promise<void> {
  const file = await open(folder, "r").catch(() => undefined);
  await file?.sync().catch(() => {});
  await file?.close();
}
