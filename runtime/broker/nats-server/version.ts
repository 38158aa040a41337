// Which nats-server versions Millrace is tested with, and what version a binary is.
import { execFile } from "node:child_process";

/** From the first (inclusive) up to the second (exclusive). Below: `sync_interval: always` does not cover all files. Above: unknown. */
export const testedRange = { from: "2.10.23", below: "2.16.0" } as const;

/** The range as people write it. */
export const testedRangeText = `${testedRange.from} <= v < ${testedRange.below}`;

/** A nats-server on this machine. */
export interface NatsServerBinary {
  readonly path: string;
  /** Such as "2.15.1". */
  readonly version: string;
}

const versionTimeoutMs = 10_000;

/** Negative: `a` is older. */
export function compareVersions(a: string, b: string): number {
  const [left, right] = [a.split("."), b.split(".")];
  for (let part = 0; part < 3; part++) {
    const difference = Number(left[part] ?? 0) - Number(right[part] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

export function isTested(version: string): boolean {
  return compareVersions(version, testedRange.from) >= 0 && compareVersions(version, testedRange.below) < 0;
}

/** What `nats-server --version` says, such as "2.15.1"; a text in words where it says nothing of the kind. Never rejects; at most 10 s. */
export function versionOf(path: string): Promise<{ readonly version: string } | { readonly failure: string }> {
  return new Promise((resolve) => {
    execFile(path, ["--version"], { timeout: versionTimeoutMs, killSignal: "SIGKILL" }, (error, stdout, stderr) => {
      const version = /v(\d+\.\d+\.\d+)/.exec(stdout)?.[1];
      if (version !== undefined) return resolve({ version });
      const said = (stderr || stdout).trim().split("\n")[0];
      resolve({ failure: said || error?.message.split("\n")[0] || "says no version" });
    });
  });
}
