// Runs measured variants, each in a child process of its own with a deadline. What runs is compiled as it is for users: the loader that
// runs TypeScript in development wraps every function that is made, which costs some of it.
import { spawn } from "node:child_process";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import type { Task } from "./variant.ts";

const source = fileURLToPath(new URL("variant.ts", import.meta.url));
// Packages are found from here.
const cache = fileURLToPath(new URL("../../node_modules/.cache/", import.meta.url));

export class Measurements implements AsyncDisposable {
  readonly #folder: string;
  #stop = () => {};
  #stopped = false;

  static async open(): Promise<Measurements> {
    const outdir = join(cache, `millrace-bench-${process.pid}`);
    await build({ entryPoints: [source], outdir, bundle: true, splitting: true, platform: "node", format: "esm", target: "node20", packages: "external", logLevel: "warning" });
    return new Measurements(outdir);
  }

  private constructor(folder: string) {
    this.#folder = folder;
    // Ctrl-C ends the child; what was begun is then put away in order.
    process.once("SIGINT", () => {
      this.#stopped = true;
      this.#stop();
    });
  }

  /**
   * What one run of a variant found.
   * @throws Error where it failed, or took longer than `deadlineMs`
   */
  run<T>(task: Task, deadlineMs: number): Promise<T> {
    if (this.#stopped) return Promise.reject(new Error("stopped"));
    const child = spawn(process.execPath, [join(this.#folder, "variant.js"), JSON.stringify(task)], { stdio: ["ignore", "pipe", "pipe"] });
    const stop = (this.#stop = () => void child.kill("SIGKILL"));
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
        reject(new Error(this.#stopped ? "stopped" : `${task.variant} ${late ? `was not done within ${deadlineMs / 1000} s` : `ended with ${code}`}\n${errors}`));
      });
    });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return rm(this.#folder, { recursive: true, force: true });
  }
}
