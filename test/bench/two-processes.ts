// The same hard work on one process and on two, with `millrace up`: how many times as fast two are.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { startCli } from "../support/cli-process.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const flow = new URL("./flows/heavy.ts", import.meta.url).pathname;

export interface TwoProcesses {
  readonly events: number;
  readonly onePerSecond: number;
  readonly twoPerSecond: number;
  readonly ratio: number;
}

export async function twoProcesses(events: number): Promise<TwoProcesses> {
  const [onePerSecond, twoPerSecond] = [await perSecond(1, events), await perSecond(2, events)];
  return { events, onePerSecond, twoPerSecond, ratio: twoPerSecond / onePerSecond };
}

/** From the first event to the last: without what starting takes. */
async function perSecond(processes: number, events: number): Promise<number> {
  await using folder = await temporaryFolder();
  const out = join(folder.path, "out.jsonl");
  await using up = startCli(["up", "-n", String(processes), flow, "--fsync", "relaxed", "--data-dir", join(folder.path, "data")], { cwd: folder.path, env: { MILLRACE_TEST_EVENTS: String(events), MILLRACE_TEST_OUT: out } });
  const { code, stderr } = await up.ended;
  if (code !== 0) throw new Error(stderr);
  const done = (await readFile(out, "utf8")).trimEnd().split("\n").map((line) => JSON.parse(line) as { at: number; pid: number }), at = done.map((one) => one.at);
  if (done.length !== events || new Set(done.map(({ pid }) => pid)).size !== processes) throw new Error(`${done.length} events of ${events}, on ${new Set(done.map(({ pid }) => pid)).size} processes of ${processes}`);
  const first = at.reduce((a, b) => Math.min(a, b)), last = at.reduce((a, b) => Math.max(a, b));
  return (events * 1_000) / (last - first);
}
