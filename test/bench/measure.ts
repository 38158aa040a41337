// Runs measured variants, each in a child process of its own with a deadline.
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { Task } from "./variant.ts";

const program = fileURLToPath(new URL("variant.ts", import.meta.url));
const fromSource = ["--conditions=source", "--import", "tsx"];

/**
 * What one run of a variant found.
 * @throws Error where it failed, or took longer than `deadlineMs`
 */
export function measure<T>(task: Task, deadlineMs: number): Promise<T> {
  const child = spawn(process.execPath, [...fromSource, program, JSON.stringify(task)], { stdio: ["ignore", "pipe", "pipe"] });
  const stop = () => void child.kill("SIGKILL");
  process.once("exit", stop);
  let out = "", errors = "", late = false;
  child.stdout.setEncoding("utf8").on("data", (text: string) => { out += text; });
  child.stderr.setEncoding("utf8").on("data", (text: string) => { errors = (errors + text).slice(-8_192); });
  const deadline = setTimeout(() => { late = true; stop(); }, deadlineMs);
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => {
      clearTimeout(deadline);
      process.off("exit", stop);
      if (code === 0) return resolve(JSON.parse(out.trimEnd().split("\n").at(-1) as string) as T);
      reject(new Error(`${task.variant} ${late ? `was not done within ${deadlineMs / 1000} s` : `ended with ${code}`}\n${errors}`));
    });
  });
}
