// The kill scenario: an undisturbed run, then the same with SIGKILL at so many positions of the journals; both must write the
// same bytes. `npm run test:faults -- kill --events 5000000 --kills 20 --seed 1`
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { join } from "node:path";
import { SeededRandom } from "../../runtime/testing/seeded-random.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { type Kill, killedRun } from "../support/killed-run.ts";

export interface KillOptions {
  readonly events: number;
  readonly kills: number;
  readonly seed: number;
  readonly say?: (line: string) => void;
  readonly deadlineMs: number;
  readonly args?: readonly string[];
}

export interface KillResult {
  readonly killed: number;
  readonly undisturbed: string;
  readonly disturbed: string;
  readonly seconds: { readonly undisturbed: number; readonly disturbed: number };
}

const flow = new URL("./flows/generated.ts", import.meta.url).pathname;

export async function killScenario({ events, kills, seed, say = () => {}, deadlineMs, args = [] }: KillOptions): Promise<KillResult> {
  await using folder = await temporaryFolder();
  const common = { flow, flowName: "generated", args, deadlineMs };
  const one = async (name: string, kills: readonly Kill[]) => {
    const out = join(folder.path, `${name}.jsonl`), begun = performance.now();
    const run = await killedRun({ ...common, dataDir: join(folder.path, name), env: { MILLRACE_TEST_EVENTS: String(events), MILLRACE_TEST_OUT: out }, kills, say });
    if (run.summary.stages.numbers?.in !== events) throw new Error(`the source took ${run.summary.stages.numbers?.in} events of ${events}`);
    return { run, hash: await hashOf(out), seconds: (performance.now() - begun) / 1000 };
  };
  const undisturbed = await one("undisturbed", []);
  say(`undisturbed: ${undisturbed.seconds.toFixed(1)} s`);
  const random = new SeededRandom(seed);
  // Spread over the whole run; whose log is watched is drawn anew for each. How the competing workers share is not the same twice.
  const actors = [...undisturbed.run.taken].filter(([actor]) => !actor.startsWith("kept")).toSorted();
  const plan = Array.from({ length: kills }, (_, i): Kill => {
    const [actor, taken] = actors[Math.floor(random.next() * actors.length)] as [string, number];
    return { actor, events: Math.max(1, Math.floor((taken * 0.85 * (i + random.next())) / kills)) };
  });
  const disturbed = await one("disturbed", plan);
  return { killed: disturbed.run.killed, undisturbed: undisturbed.hash, disturbed: disturbed.hash, seconds: { undisturbed: undisturbed.seconds, disturbed: disturbed.seconds } };
}

async function hashOf(path: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
  return hash.digest("hex");
}
