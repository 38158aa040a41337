// A disk of a few megabytes that a program sees at a path: a tmpfs in a mount namespace of its own, which an ordinary user may have.
// Who enters the namespace has the disk there; everybody else sees what was there before.
import { type ChildProcess, spawn } from "node:child_process";
import { constants } from "node:fs";
import { mkdir, open, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";

export interface SmallDisk extends AsyncDisposable {
  /** Where the same is to be seen from outside. */
  readonly seenAt: string;
  /** Root of the file system as it is inside, seen from outside. */
  readonly root: string;
  /** Before a command: it runs inside. */
  readonly prefix: readonly string[];
  /** A program that starts another one inside, put into `folder`. */
  program(path: string, folder: string): Promise<string>;
  /** Takes all the room that is left. */
  fill(): Promise<void>;
  /** Gives it back. */
  free(): Promise<void>;
}

const blocks = [1024 * 1024, 4_096] as const;

/** `undefined` where this system lets no ordinary user have one. Use it with `await using`. */
export async function smallDisk(path: string, mebibytes: number): Promise<SmallDisk | undefined> {
  if (process.platform !== "linux") return undefined;
  await mkdir(path, { recursive: true });
  // It holds the namespace until it is killed.
  const holder = spawn("unshare", ["-Urm", "sh", "-c", `mount -t tmpfs -o size=${mebibytes}m tmpfs "$1" && echo ready && exec cat`, "sh", path], { stdio: ["pipe", "pipe", "ignore"] });
  if (!(await isReady(holder))) return undefined;
  const pid = String(holder.pid), root = `/proc/${pid}/root`, seenAt = root + path, ballast = join(seenAt, "ballast");
  const prefix = ["nsenter", "--preserve-credentials", "-U", "-m", "-t", pid];
  return {
    seenAt, root, prefix,
    async program(inner, folder) {
      const script = join(folder, "inside.sh");
      await writeFile(script, `#!/bin/sh\nexec ${prefix.join(" ")} "${inner}" "$@"\n`, { mode: 0o700 });
      return script;
    },
    async fill() {
      const file = await open(ballast, constants.O_WRONLY | constants.O_CREAT | constants.O_APPEND);
      try {
        for (const size of blocks) {
          const block = Buffer.alloc(size);
          while (await file.write(block).then(({ bytesWritten }) => bytesWritten === size, isFull)) ;
        }
      } finally {
        await file.close();
      }
    },
    free: () => rm(ballast, { force: true }),
    async [Symbol.asyncDispose]() {
      const ended = new Promise((gone) => holder.once("close", gone));
      holder.kill("SIGKILL");
      await ended;
    },
  };
}

function isFull(error: NodeJS.ErrnoException): false {
  if (error.code === "ENOSPC") return false;
  throw error;
}

function isReady(holder: ChildProcess): Promise<boolean> {
  return new Promise((resolve) => {
    holder.once("error", () => resolve(false));
    holder.once("close", () => resolve(false));
    holder.stdout?.once("data", () => resolve(true));
  });
}
