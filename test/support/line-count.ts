import { readFile } from "node:fs/promises";

/** Lines of a file that are whole; 0 where it is not there. Cheap: it is asked again and again while a flow writes. */
export async function linesIn(path: string): Promise<number> {
  const bytes = await readFile(path).catch(() => Buffer.alloc(0));
  let count = 0;
  for (let at = bytes.indexOf(10); at >= 0; at = bytes.indexOf(10, at + 1)) count++;
  return count;
}
