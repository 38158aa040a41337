// Programs that say they are a nats-server, and nothing else: for what finds and fetches one.
import { chmod, mkdir, writeFile } from "node:fs/promises";
import { dirname } from "node:path";

export function fakeNatsServer(version: string): string {
  return `#!/bin/sh\necho "nats-server: v${version}"\n`;
}

/** Writes one and gives its path. `text` instead of a version: what the program is otherwise. */
export async function placeFakeNatsServer(path: string, version: string, text = fakeNatsServer(version)): Promise<string> {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, text);
  await chmod(path, 0o755);
  return path;
}
