// test deadline: 240 s
// The folder of the journals is deleted, cut off, damaged, put back from an old copy, held by another process: it is built anew from the
// log, or there is a clear error. Never a wrong result. Each fault on a flow with state and on one with windows, which run beside each other.
import { fork } from "node:child_process";
import { once } from "node:events";
import { cp, readdir, readFile, rm, stat, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { SeededRandom } from "../../runtime/testing/seeded-random.ts";
import { type LossName, lossNames } from "./loss-flows.ts";
import { LossWorld } from "./loss-world.ts";

const test = suite("the journal folder");
let made: Promise<LossWorld> | undefined;
const world = (): Promise<LossWorld> => (made ??= LossWorld.make());
test.after(async () => { await (await made)?.[Symbol.asyncDispose](); });

/** Files of a journal that hold what was written. */
async function filesOf(folder: string, like: RegExp): Promise<readonly string[]> {
  const found: string[] = [];
  for (const name of (await readdir(folder)).filter((one) => like.test(one)).sort()) if ((await stat(join(folder, name))).size > 0) found.push(join(folder, name));
  return found;
}

async function flip(path: string, random: SeededRandom, bits: number): Promise<void> {
  const bytes = await readFile(path);
  for (let i = 0; i < bits; i++) {
    const at = Math.floor(random.next() * bytes.length);
    bytes[at] = (bytes[at] as number) ^ (1 << Math.floor(random.next() * 8));
  }
  await writeFile(path, bytes);
}

interface Fault {
  readonly says: string;
  readonly harm: (its: LossWorld, journals: readonly string[], random: SeededRandom) => Promise<void>;
}

const data = /\.(log|ldb)$/;
const each = (harm: (folder: string, random: SeededRandom) => Promise<void>): Fault["harm"] => async (its, journals, random) => { for (const journal of journals) await harm(its.journal(journal), random); };
const faults: readonly Fault[] = [
  { says: "all journals are deleted", harm: each((folder) => rm(folder, { recursive: true })) },
  { says: "the journals of one stage are deleted", harm: async (its, journals) => { for (const journal of journals) if (journal.includes("/work/")) await rm(its.journal(journal), { recursive: true }); } },
  { says: "their files are cut off in the middle", harm: each(async (folder) => { for (const path of await filesOf(folder, data)) await truncate(path, Math.floor((await stat(path)).size / 2)); }) },
  { says: "the last bytes of their files are gone", harm: each(async (folder) => { for (const path of await filesOf(folder, data)) await truncate(path, Math.max(0, (await stat(path)).size - 37)); }) },
  { says: "their files are empty", harm: each(async (folder) => { for (const path of await filesOf(folder, data)) await truncate(path, 0); }) },
  { says: "LevelDB's own lists of files are empty", harm: each(async (folder) => { for (const path of await filesOf(folder, /^(MANIFEST|CURRENT)/)) await truncate(path, 0); }) },
  { says: "one bit in a file of each is flipped", harm: each(async (folder, random) => { const paths = await filesOf(folder, data); await flip(paths[Math.floor(random.next() * paths.length)] as string, random, 1); }) },
  { says: "many bits in all their files are flipped", harm: each(async (folder, random) => { for (const path of await filesOf(folder, data)) await flip(path, random, 12); }) },
  {
    says: "they are put back from an old copy",
    async harm(its, journals) {
      for (const journal of journals) {
        await rm(its.journal(journal), { recursive: true });
        await cp(its.oldJournal(journal), its.journal(journal), { recursive: true });
      }
    },
  },
];

for (const [at, { says, harm }] of faults.entries()) {
  test(`${says}: built anew from the log, the results are exact`, async () => {
    const its = await world();
    await its.lose(() => false);
    for (const name of lossNames) await harm(its, await its.journals(name), new SeededRandom(100 + at));
    const end = await its.runAll(lossNames);
    assert.is(end === "finished" ? end : end.says, "finished");
    for (const name of lossNames) assert.equal(await its.wrongs(name), [], name);
  });
}

const child = fileURLToPath(new URL("../support/store-child.ts", import.meta.url));

for (const [name, stage] of [["sums", "work"], ["windows", "out"]] as const satisfies readonly (readonly [LossName, string])[]) {
  test(`another process has a journal open (${name}): said by name, nothing is changed, and it goes on once that one has let go`, async () => {
    const its = await world();
    await its.lose(() => false);
    const journal = (await its.journals(name)).find((one) => one.includes(`/${stage}/`)) as string;
    const holder = fork(child, [join(its.folder, "data", "journals"), journal, "hold"], { execArgv: ["--conditions=source", "--import", "tsx"] });
    try {
      assert.is((await once(holder, "message"))[0], "open");
      await assertLocked(its, name, journal);
    } finally {
      holder.kill("SIGKILL");
      if (holder.exitCode === null && holder.signalCode === null) await once(holder, "exit");
    }
    assert.is(await its.run(name), "finished");
    assert.equal(await its.wrongs(name), []);
  });
}

async function assertLocked(its: LossWorld, name: LossName, journal: string): Promise<void> {
  const repaired = await its.repair(name).then(() => "repaired", (error: { code: string; where: string }) => `${error.code} ${error.where}`);
  assert.is(repaired, `JOURNAL_LOCKED ${journal}`);
  const end = await its.run(name);
  assert.ok(end !== "finished");
  assert.match(end.says, /JOURNAL_LOCKED|in use by another process/);
  assert.equal(await its.wrongsSoFar(name), []);
}

test.run();
