// libfaketime, where it is on this machine or can be had from the archive of Debian: a program's wall clock says what a file says.
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, readdir, rename, rm } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);
const within = { timeout: 60_000 } as const;
const cache = join(process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "millrace", "faketime");

/** Path of the library, or why there is none. `fetch`: where it is not on this machine, it is fetched. */
export async function faketime(fetch: boolean): Promise<{ readonly library: string } | { readonly missing: string }> {
  if (process.platform !== "linux") return { missing: "libfaketime is for Linux" };
  const there = (await libraryIn("/usr")) ?? (await libraryIn(cache));
  if (there !== undefined) return { library: there };
  if (!fetch) return { missing: "it is not installed" };
  const folder = `${cache}.${process.pid}`;
  try {
    await mkdir(folder, { recursive: true });
    await run("apt-get", ["download", "libfaketime"], { ...within, cwd: folder });
    const [file] = (await readdir(folder)).filter((name) => name.endsWith(".deb"));
    await run("dpkg", ["-x", file as string, folder], { ...within, cwd: folder });
    await rename(folder, cache).catch(() => undefined);
    const library = await libraryIn(cache);
    return library === undefined ? { missing: "its package has no such library" } : { library };
  } catch (error) {
    return { missing: (error as Error).message.split("\n")[0] as string };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** For a program whose wall clock is what `file` says, such as "+7200": read anew each time. Monotonic clocks stay what they are. */
export function faketimeEnv(library: string, file: string): Readonly<Record<string, string>> {
  return { LD_PRELOAD: library, FAKETIME_TIMESTAMP_FILE: file, FAKETIME_NO_CACHE: "1", FAKETIME_DONT_FAKE_MONOTONIC: "1" };
}

async function libraryIn(root: string): Promise<string | undefined> {
  const folders = [join(root, "lib"), join(root, "usr", "lib")].filter((folder) => existsSync(folder));
  for (const folder of folders) {
    for (const arch of await readdir(folder)) {
      const path = join(folder, arch, "faketime", "libfaketime.so.1");
      if (existsSync(path)) return path;
    }
  }
  return undefined;
}
