// One measured variant in a process of its own, so that memory and compiled code do not mix: a warm-up run, then the measured one.
// The last line that it prints is what it found.
import { Session } from "node:inspector/promises";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { connect } from "nats";
import { setHeapPolicy } from "../../runtime/node/heap-policy.ts";
import type { Run } from "./contender.ts";

export interface Task {
  readonly variant: string;
  /** Events of the warm-up run; 0: none. */
  readonly warmUp: number;
  readonly run: Run;
  /** Where a CPU profile of the measured run goes, on the main thread alone. */
  readonly profile?: string;
}

// Each is loaded only where it is measured: what is not used takes no memory.
const variants: Readonly<Record<string, () => Promise<(run: Run) => Promise<object>>>> = {
  plain: async () => (await import("./plain.ts")).plain,
  batched: async () => (await import("./batched.ts")).batched,
  ceiling: async () => (await import("./ceiling/ceiling.ts")).ceiling,
  millrace: async () => (await import("./millrace.ts")).millrace,
  start: async () => (await import("./start.ts")).started,
  backlog: async () => (await import("./backlog.ts")).backlog,
};

// As the command line does; all that is measured has it.
setHeapPolicy();
const { variant, warmUp, run, profile } = JSON.parse(process.argv[2] as string) as Task;
const measure = await (variants[variant] as () => Promise<(run: Run) => Promise<object>>)();
if (warmUp > 0) await once({ ...run, events: warmUp, rate: 0 }, "warm-up");
const found = await (profile === undefined ? once(run, "measured") : profiled(profile));
// Timers of an actor that was ended in the middle may still be there.
process.stdout.write(`${JSON.stringify(found)}\n`, () => process.exit(0));

async function once(what: Run, name: string): Promise<object> {
  const folder = join(run.folder, name);
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  await clear();
  try {
    return await measure({ ...what, folder });
  } finally {
    await clear();
    await rm(folder, { recursive: true, force: true });
  }
}

/** The server is the bench's own. */
async function clear(): Promise<void> {
  const connection = await connect({ servers: run.server.servers, user: run.server.user, pass: run.server.pass });
  const { streams } = await connection.jetstreamManager();
  for await (const { config } of streams.list()) await streams.delete(config.name);
  await connection.close();
}

async function profiled(path: string): Promise<object> {
  const session = new Session();
  session.connect();
  await session.post("Profiler.enable");
  await session.post("Profiler.start");
  const found = await once(run, "measured");
  const { profile: content } = await session.post("Profiler.stop");
  session.disconnect();
  await writeFile(path, JSON.stringify(content));
  return found;
}
