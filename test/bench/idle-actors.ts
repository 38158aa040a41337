// A node with very many actors: how long it takes until all of them run, and what memory one takes that has nothing to do.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { connect } from "../../runtime/broker/nats-broker.ts";
import { askTree } from "../../runtime/inspect/inquiry.ts";
import { startCli } from "../support/cli-process.ts";
import { startNatsServer } from "../support/nats-server.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { eventually } from "../support/waiting.ts";
import { median } from "./median.ts";

const flow = new URL("./flows/idle.ts", import.meta.url).pathname;
const few = 8, quietMs = 6_000, seenMs = 4_000;

export interface IdleActors {
  readonly actors: number;
  /** From when the node has joined to when all of them run. */
  readonly startMs: number;
  /** Of the process: with a few actors, and with all of them; the difference for each. */
  readonly mebibytes: { readonly few: number; readonly all: number; readonly each: number };
}

export async function idleActors(count: number): Promise<IdleActors> {
  const small = await started(few), large = await started(few + count);
  return { actors: count, startMs: large.startMs, mebibytes: { few: small.mebibytes, all: large.mebibytes, each: (large.mebibytes - small.mebibytes) / count } };
}

async function started(partitions: number): Promise<{ readonly startMs: number; readonly mebibytes: number }> {
  await using server = await startNatsServer({ fsync: "relaxed" });
  await using folder = await temporaryFolder();
  const { servers, user, pass } = server, broker = await connect({ servers, user, pass });
  try {
    await using node = startCli(["node", "--name", `n${partitions}`, "--flow", flow, "--data-dir", join(folder.path, "data")], {
      cwd: folder.path, env: { MILLRACE_NATS: servers, MILLRACE_NATS_USER: user, MILLRACE_NATS_PASSWORD: pass, MILLRACE_TEST_PARTITIONS: String(partitions) },
    });
    await node.said(/has joined/);
    const joined = performance.now();
    await eventually("all of them run", async () => {
      const { lines } = await askTree(broker, `n${partitions}`);
      return lines.filter(({ kind, state }) => kind === "actor" && state === "running.active").length === partitions + 2;
    }, 60_000);
    const startMs = performance.now() - joined;
    const rss = async (): Promise<number> => Number(/^VmRSS:\s+(\d+) kB/m.exec(await readFile(`/proc/${node.child.pid}/status`, "utf8"))?.[1]) / 1024;
    // Once what the start has left behind is collected, by and by.
    const seen: number[] = [], begun = performance.now();
    while (performance.now() - begun < quietMs + seenMs) {
      await new Promise((resolve) => setTimeout(resolve, 250));
      if (performance.now() - begun > quietMs) seen.push(await rss());
    }
    node.child.kill("SIGTERM");
    await node.ended;
    return { startMs, mebibytes: median(seen) };
  } finally {
    await broker.close();
  }
}
