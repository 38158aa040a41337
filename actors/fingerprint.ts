// Tells whether a file is the one of the last run (P26), without reading all of it.
import { createHash } from "node:crypto";
import { fileFault, openFile } from "./file-window.ts";

const endBytes = 64 * 1024;

/**
 * Size, and hash of the first and the last 64 KiB. A change in between that keeps the size is not seen.
 * @throws MillraceError FILE_MISSING, FILE_UNREADABLE
 */
export async function fingerprint(path: string): Promise<string> {
  const file = await openFile(path);
  try {
    const { size } = await file.stat();
    const hash = createHash("sha256");
    const block = Buffer.alloc(endBytes);
    for (const position of size > endBytes ? [0, size - endBytes] : [0]) {
      const { bytesRead } = await file.read(block, 0, endBytes, position);
      hash.update(block.subarray(0, bytesRead));
    }
    return `${size}-${hash.digest("hex").slice(0, 32)}`;
  } catch (error) {
    throw fileFault(path, error);
  } finally {
    await file.close();
  }
}
