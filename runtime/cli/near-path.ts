import { isAbsolute, relative } from "node:path";

/** A path as people want to read it: from the current folder where it lies within, else whole. */
export function nearPath(path: string): string {
  const near = relative(process.cwd(), path);
  return near === "" ? "." : near.startsWith("..") || isAbsolute(near) ? path : near;
}
