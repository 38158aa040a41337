// Which process a pid stands for. A pid alone says little: after a reboot, or in a container, it is soon another's.
import { execFile } from "node:child_process";
import { readFile, readlink } from "node:fs/promises";
import { hostname } from "node:os";

const psTimeoutMs = 5_000;

/** When the process of a pid began, as a text to compare; `undefined` where there is none (or only its remains, not yet collected). */
export async function startOf(pid: number): Promise<string | undefined> {
  if (process.platform !== "linux") {
    const [state, ...began] = ((await ps(pid, "state=", "lstart=")) ?? "").trim().split(/\s+/);
    return state === undefined || state === "" || state.startsWith("Z") ? undefined : began.join(" ");
  }
  const stat = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => undefined);
  // The name of the program may hold anything; what follows its last bracket does not.
  const fields = stat?.slice(stat.lastIndexOf(")") + 2).split(" ");
  if (fields === undefined || fields[0] === "Z" || fields[0] === "X") return undefined;
  const boot = await readFile("/proc/sys/kernel/random/boot_id", "utf8").catch(() => "");
  return `${boot.trim()} ${fields[19]}`;
}

/** Program and arguments of a pid (one text where the system gives no more); `undefined` where there is no such process. */
export async function commandOf(pid: number): Promise<readonly string[] | undefined> {
  if (process.platform === "linux") {
    const text = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => undefined);
    return text === undefined || text === "" ? undefined : text.split("\0").slice(0, -1);
  }
  const text = await ps(pid, "command=");
  return text === undefined ? undefined : [text.trim()];
}

/** In what pids mean the same: one host, and on Linux one pid namespace. */
export async function pidSpace(): Promise<string> {
  return `${hostname()} ${await readlink("/proc/self/ns/pid").catch(() => "")}`.trim();
}

function ps(pid: number, ...columns: readonly string[]): Promise<string | undefined> {
  return new Promise((resolve) => {
    execFile("ps", ["-ww", ...columns.flatMap((column) => ["-o", column]), "-p", String(pid)], { timeout: psTimeoutMs, env: { ...process.env, LC_ALL: "C" } }, (error, stdout) => resolve(error === null ? stdout : undefined));
  });
}
