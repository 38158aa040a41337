// Files with keys: seeds that sign deployments, kept from others, and public keys that a node is told to trust.
import { mkdir, open, readFile, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { isPublicKey, isSeed, keyOf, type SigningKey } from "../deploy/nkey.ts";
import { MillraceError } from "../event/errors.ts";

/** Larger ones are no files of keys. */
const longest = 256 * 1024;

/** Mode 0600, and never over a file that is there. @throws MillraceError KEY_FILE_EXISTS, KEY_FILE_UNWRITABLE */
export async function writeSeed(path: string, seed: string): Promise<void> {
  try {
    await mkdir(dirname(path), { recursive: true });
    const file = await open(path, "wx", 0o600);
    try {
      await file.writeFile(`${seed}\n`);
      await file.sync();
    } finally {
      await file.close();
    }
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === "EEXIST") throw new MillraceError("KEY_FILE_EXISTS", path, "There is a file of that name already, and a key is never written over", "Give another path, or remove that file if nothing needs its key.");
    throw new MillraceError("KEY_FILE_UNWRITABLE", path, `The key cannot be written: ${message}`, "Give the path of a file that this user may make.", { cause: error });
  }
}

/** `warn`: told where others may read it. @throws MillraceError KEY_FILE_UNREADABLE, KEY_INVALID */
export async function readKey(path: string, warn: (line: string) => void): Promise<SigningKey> {
  const key = keyOf(await read(path), path);
  // On Windows the mode says nothing.
  if (process.platform !== "win32" && ((await stat(path)).mode & 0o077) !== 0) warn(`others on this machine may read ${path}, which holds a secret: chmod 600 ${path}`);
  return key;
}

/** Public keys, each given as such or in a file with one a line; # begins a comment. @throws MillraceError OPTION_INVALID, KEY_FILE_UNREADABLE */
export async function trustedKeys(given: readonly string[]): Promise<readonly string[]> {
  const keys = new Set<string>();
  for (const one of given) {
    if (isSeed(one)) throw secret("a value of --trust");
    if (isPublicKey(one)) keys.add(one);
    else if (/^[UA][A-Z2-7]{40,70}$/.test(one)) throw invalid(one, "is no public key: its checksum does not fit");
    else for (const key of await listed(one)) keys.add(key);
  }
  return [...keys];
}

async function listed(path: string): Promise<readonly string[]> {
  const lines = (await read(path)).split("\n").map((line) => line.replace(/#.*/, "").trim()).filter((line) => line !== "");
  for (const line of lines) {
    if (isSeed(line)) throw secret(path);
    if (!isPublicKey(line)) throw invalid(path, `holds a line that is no public key: ${line.slice(0, 60)}`);
  }
  if (lines.length === 0) throw invalid(path, "holds no key");
  return lines;
}

async function read(path: string): Promise<string> {
  try {
    if ((await stat(path)).size > longest) throw new Error("it is too large for a file of keys");
    return await readFile(path, "utf8");
  } catch (error) {
    throw new MillraceError("KEY_FILE_UNREADABLE", path, `The file cannot be read: ${(error as Error).message}`, "Give the path of a key's file (`millrace keys new` makes one), or a public key, which begins with U or A.", { cause: error });
  }
}

function invalid(what: string, says: string): MillraceError {
  return new MillraceError("OPTION_INVALID", "--trust", `${what} ${says}`, "Give public keys as `millrace keys show` prints them, or a file with one a line.");
}

/** Never tells it. */
function secret(where: string): MillraceError {
  return new MillraceError("OPTION_INVALID", "--trust", `What was given as ${where} is a seed: the secret half of a key`, "Give its public key: `millrace keys show <file>` prints it. Others may have seen this seed: make a new key.");
}
