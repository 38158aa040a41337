// What `doctor` looks at on this machine: Node, the nats-server, the data folder, how long the disk takes to sync.
import { existsSync } from "node:fs";
import { mkdtemp, open, readFile, rm, statfs } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { findNatsServer } from "../broker/nats-server/find.ts";
import { startOf } from "../broker/nats-server/process-identity.ts";
import { testedRangeText } from "../broker/nats-server/version.ts";
import type { Check, Finding } from "./doctor.ts";
import { connectionOf } from "./nats-options.ts";
import { nearPath } from "./near-path.ts";
import { bytes } from "./words.ts";

const leastNode = [20, 19] as const, maintainedNode = 22;
const leastFreeBytes = 1024 ** 3;
const syncs = 15, syncBytes = 4_096;
/** Each commit waits for it with --fsync always. */
const slowSyncMs = 20;

export const checkNode: Check = async () => {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number), says = `Node ${process.versions.node}`;
  if (major < leastNode[0] || (major === leastNode[0] && minor < leastNode[1])) return [{ is: "fail", about: "node", says, remedy: `Millrace needs Node ${leastNode.join(".")} or newer.` }];
  if (major < maintainedNode) return [{ is: "warn", about: "node", says: `${says}, which is past its end of life`, remedy: "It works; better take Node 22 or 24." }];
  return [{ is: "ok", about: "node", says }];
};

/** The one that a run would start; where a server is named none is needed. */
export const checkServer: Check = async (flags) => {
  if (connectionOf(flags) !== undefined) return [];
  const { found, passedOver } = await findNatsServer();
  const others = passedOver.map(({ path, reason }) => `\npassed over: ${path}: ${reason}`).join("");
  if (found !== undefined) return [{ is: "ok", about: "nats-server", says: `${found.version}, ${found.path}${others}` }];
  return [{ is: "warn", about: "nats-server", says: `none of the tested range ${testedRangeText} is on this machine${others}`, remedy: "`millrace run` fetches one; or install one, name one with MILLRACE_NATS_SERVER, or a server with --nats." }];
};

export const checkData: Check = async ({ dataDir }) => {
  const path = resolve(dataDir), about = "data folder", shown = nearPath(path), findings: Finding[] = [], base = thereOf(path);
  const probe = await mkdtemp(join(base, ".doctor-")).catch((error: Error) => error);
  if (probe instanceof Error) return [{ is: "fail", about, says: `${shown} cannot be written: ${probe.message}`, remedy: "Choose another one with --data-dir, or let this user write there." }];
  await rm(probe, { recursive: true, force: true });
  const { bavail, bsize } = await statfs(base), free = bavail * bsize;
  const says = `${shown}${base === path ? "" : " (made by the first run)"}, ${bytes(free)} free`;
  findings.push(free < leastFreeBytes ? { is: "warn", about, says, remedy: "Make room: with a full disk everything waits, and nothing is lost." } : { is: "ok", about, says });
  const holder = await holderOf(path);
  if (holder !== undefined) findings.push({ is: "ok", about, says: `process ${holder} has it: a node runs here` });
  return findings;
};

/** The folder itself, or the nearest one above it that is there: to look is not to make. */
function thereOf(path: string): string {
  return existsSync(path) || dirname(path) === path ? path : thereOf(dirname(path));
}

async function holderOf(dataDir: string): Promise<number | undefined> {
  try {
    const { pid, start } = JSON.parse(await readFile(join(dataDir, "run.lock"), "utf8")) as { pid: number; start: string };
    return (await startOf(pid)) === start ? pid : undefined;
  } catch {
    return undefined;
  }
}

export const checkDisk: Check = async ({ dataDir }) => {
  const folder = await mkdtemp(join(thereOf(resolve(dataDir)), ".doctor-")), times: number[] = [];
  try {
    const file = await open(join(folder, "sync"), "w");
    try {
      for (let at = 0; at < syncs; at++) {
        await file.write(Buffer.alloc(syncBytes, at), 0, syncBytes, at * syncBytes);
        const begun = performance.now();
        await file.datasync();
        times.push(performance.now() - begun);
      }
    } finally {
      await file.close();
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  const median = times.sort((a, b) => a - b)[Math.floor(times.length / 2)] as number, says = `fsync takes ${median < 10 ? median.toFixed(2) : Math.round(median)} ms (median of ${syncs})`;
  if (median <= slowSyncMs) return [{ is: "ok", about: "disk", says }];
  return [{ is: "warn", about: "disk", says, remedy: "Each commit waits for it. A faster disk for --data-dir, or --fsync relaxed, which a power loss may cost the last second." }];
};
