// What a data folder holds of earlier runs of a flow beside the journals of this one.
import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";

/** The folder of the journals of all flows in a data folder. */
export function journalsIn(dataDir: string): string {
  return join(dataDir, "journals");
}

/** Deletes the journals of a flow but those of one run, whoever left them: also those of runs that the server no longer knows. */
export async function removeOldJournals(dataDir: string, flow: string, token: string): Promise<void> {
  const folder = join(journalsIn(dataDir), flow);
  for (const stage of await entries(folder)) {
    for (const generation of await entries(join(folder, stage))) {
      if (!generation.startsWith(`${token}-`)) await rm(join(folder, stage, generation), { recursive: true, force: true, maxRetries: 3 });
    }
  }
}

/** Names of the journals of a flow in a data folder; those that were put aside are none. */
export async function journalsOf(dataDir: string, flow: string): Promise<readonly string[]> {
  const folder = join(journalsIn(dataDir), flow), names: string[] = [];
  for (const stage of await entries(folder)) {
    for (const generation of await entries(join(folder, stage))) {
      for (const partition of await entries(join(folder, stage, generation))) if (/^\d+$/.test(partition)) names.push(`${flow}/${stage}/${generation}/${partition}`);
    }
  }
  return names;
}

async function entries(folder: string): Promise<readonly string[]> {
  return await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT" || error.code === "ENOTDIR") return [];
    throw error;
  });
}
