// Runs one uvu test file as its own process and judges it. uvu itself passes a file that forgets `.run()`, whose before hook throws, or that
// never ends; here such a file fails, and so does one that leaves a process or a temporary file behind.
import { spawn } from "node:child_process";
import { rmSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rm, symlink } from "node:fs/promises";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";

export interface FileResult {
  readonly file: string;
  readonly passed: number;
  /** At least 1 where anything about the file is wrong. */
  readonly failed: number;
  /** What is wrong, in words; empty where nothing is. */
  readonly faults: readonly string[];
  readonly output: string;
  readonly durationMs: number;
}

export interface RunOptions {
  /** Folder that the file's path is relative to. */
  readonly root: string;
  /** Deadline of the file. Default: the one that it names, or else 120,000 ms. */
  readonly deadlineMs?: number;
}

const usualDeadlineMs = 120_000;
const maxOutputBytes = 4 * 1024 * 1024;
const running = new Map<string, number | undefined>();

/** Ends the files that run now, at once: they are not of the terminal's process group, so Ctrl-C does not reach them. */
export function stopTestFiles(): void {
  for (const [folder, pid] of running) {
    killGroup(pid);
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Never rejects for what the file does. */
export async function runTestFile(file: string, { root, deadlineMs }: RunOptions): Promise<FileResult> {
  const began = performance.now();
  const deadline = deadlineMs ?? (await deadlineOf(join(root, file)));
  const folder = await mkdtemp(join(tmpdir(), "millrace-tests-"));
  await shareCompilerCache(folder);
  // Marks all that the file starts, whatever it does to its process groups.
  const mark = `MILLRACE_TEST_FILE=${folder}`;
  const { output, ending } = await runProcess(folder, file, root, deadline, { ...process.env, TMPDIR: folder, MILLRACE_TEST_FILE: folder, NO_COLOR: "1", FORCE_COLOR: "0" });
  const faults = ending === undefined ? [] : [ending];
  const { passed, failed, fault } = countOf(output);
  if (fault !== undefined) faults.push(fault);
  const processes = await endMarked(mark, running.get(folder));
  if (processes.length > 0) faults.push(`left ${processes.length} process(es) behind: ${processes.join(", ")}`);
  const left = (await readdir(folder)).filter((name) => !isCompilerCache(name));
  if (left.length > 0) faults.push(`left temporary files behind: ${left.slice(0, 5).join(", ")}`);
  await rm(folder, { recursive: true, force: true, maxRetries: 3 });
  running.delete(folder);
  return { file, passed, failed: faults.length > 0 ? Math.max(1, failed) : failed, faults, output, durationMs: performance.now() - began };
}

/** In ms. A file that needs longer than others says so in a line of its own: `// test deadline: 300 s`. */
export async function deadlineOf(path: string): Promise<number> {
  const seconds = /^\/\/ test deadline: (\d+) s$/m.exec(await readFile(path, "utf8"))?.[1];
  return seconds === undefined ? usualDeadlineMs : Number(seconds) * 1000;
}

interface Ended {
  readonly output: string;
  /** What is wrong with how it ended. */
  readonly ending: string | undefined;
}

function runProcess(folder: string, file: string, root: string, deadlineMs: number, env: NodeJS.ProcessEnv): Promise<Ended> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, ["--conditions=source", "--import", "tsx", file], { cwd: root, env, stdio: ["ignore", "pipe", "pipe"], detached: true });
    running.set(folder, child.pid);
    const chunks: Buffer[] = [];
    let size = 0;
    for (const stream of [child.stdout, child.stderr]) {
      stream.on("data", (chunk: Buffer) => {
        size += chunk.length;
        // The end is what tells most, and what holds the counts.
        chunks.push(chunk);
        while (size > maxOutputBytes && chunks.length > 1) size -= (chunks.shift() as Buffer).length;
      });
    }
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      killGroup(child.pid);
    }, deadlineMs);
    const settle = (ending: string | undefined) => {
      clearTimeout(timer);
      resolve({ output: Buffer.concat(chunks).toString("utf8"), ending });
    };
    child.once("error", (error) => settle(error.message));
    child.once("exit", (code, signal) => {
      killGroup(child.pid);
      // What it started may still hold its output open; what it said itself is here after one more turn of the loop.
      setImmediate(() => {
        child.stdout.destroy();
        child.stderr.destroy();
        const finished = /^ {2}Duration: /m.test(Buffer.concat(chunks).toString("utf8"));
        if (late) settle(`did not end within ${deadlineMs / 1000} s${finished ? ", though its tests were done: something is left open" : ""}`);
        else if (signal !== null) settle(`was ended by ${signal}`);
        else settle(code === 0 ? undefined : `exit code ${code}`);
      });
    });
  });
}

function killGroup(pid: number | undefined): void {
  try {
    if (pid !== undefined) process.kill(-pid, "SIGKILL");
  } catch {
    // The group is gone, which is what is wanted.
  }
}

/** What uvu counted. It prints one summary for all suites of a file; the last one counts. */
function countOf(output: string): { readonly passed: number; readonly failed: number; readonly fault: string | undefined } {
  const summaries = [...output.matchAll(/^ {2}Total: +(\d+)\n {2}Passed: +(\d+)\n {2}Skipped: +(\d+)$/gm)];
  const [total, passed, skipped] = summaries.at(-1)?.slice(1).map(Number) ?? [];
  if (total === undefined || passed === undefined || skipped === undefined) return { passed: 0, failed: 1, fault: "ended without uvu's summary" };
  const failed = total - passed + skipped;
  if (total === 0) return { passed, failed: 1, fault: "ran no test: does it end with .run()?" };
  if (skipped > 0) return { passed, failed, fault: `${skipped} skipped: run it, or delete it` };
  return { passed, failed, fault: passed === total ? undefined : `${total - passed} of ${total} failed` };
}

/** Ends all processes that carry the mark, and says what they were; those of the file's own group were ended with it, and may take a moment. Only Linux shows another process's environment. */
async function endMarked(mark: string, group: number | undefined): Promise<readonly string[]> {
  if (process.platform !== "linux") return [];
  const ended: string[] = [];
  for (const pid of (await readdir("/proc")).filter((name) => /^\d+$/.test(name))) {
    const environment = await readFile(`/proc/${pid}/environ`, "latin1").catch(() => "");
    if (!environment.split("\0").includes(mark)) continue;
    const command = await readFile(`/proc/${pid}/cmdline`, "latin1").catch(() => ""), stat = await readFile(`/proc/${pid}/stat`, "latin1").catch(() => "");
    if (Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[2]) === group) continue;
    try {
      process.kill(Number(pid), "SIGKILL");
      ended.push(`${pid} ${command.replaceAll("\0", " ").trim().slice(0, 100)}`);
    } catch {
      // It ended by itself meanwhile.
    }
  }
  return ended;
}

function isCompilerCache(name: string): boolean {
  return name.startsWith("tsx-") || name === "node-compile-cache";
}

/** tsx caches what it compiled in the temporary folder; all files share one. */
async function shareCompilerCache(folder: string): Promise<void> {
  const name = `tsx-${userInfo().uid}`;
  await mkdir(join(tmpdir(), name), { recursive: true });
  await symlink(join(tmpdir(), name), join(folder, name), "junction");
}
