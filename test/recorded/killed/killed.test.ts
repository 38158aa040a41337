// Runs of version 1 that were killed in the middle, recorded with all that lay on the disk (record.ts): every later program must finish
// them to the exact result, on nats-server 2.10 and 2.15, whichever wrote the store; and leave them untouched where they are of a newer version.
// test deadline: 300 s
import { execFileSync } from "node:child_process";
import { copyFile, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { connect } from "../../../runtime/broker/nats-broker.ts";
import { startEmbedded } from "../../../runtime/broker/nats-server/embedded.ts";
import { findOrObtain } from "../../../runtime/broker/nats-server/obtain.ts";
import { versionKey } from "../../../runtime/journal/keys.ts";
import { LevelStores } from "../../../runtime/journal/level-store.ts";
import { cli, type CliEnd } from "../../support/cli-process.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import type { Balance, Minute } from "./flow.ts";
import { expected } from "./payments.ts";

const test = suite("runs killed under version 1");
const here = fileURLToPath(new URL(".", import.meta.url)), { ledger, report, refused } = expected();
const store = "payments/balances/0";

async function recorded(from: string, on: string) {
  const folder = await temporaryFolder(), dataDir = join(folder.path, ".millrace"), binary = await findOrObtain({ series: on });
  execFileSync("tar", ["-xzf", join(here, `v1-nats-${from}.tar.gz`), "-C", folder.path]);
  await copyFile(join(here, "flow.ts"), join(folder.path, "flow.ts"));
  const lines = async <T>(name: string): Promise<T[]> => (await readFile(join(folder.path, name), "utf8")).trim().split("\n").filter((line) => line !== "").map((line) => JSON.parse(line) as T);
  const run = (...args: string[]): Promise<CliEnd> => cli(args, { cwd: folder.path, env: { MILLRACE_NATS_SERVER: binary.path } });
  return {
    lines, run, dataDir, path: folder.path,
    // The bundle of the flow, and so the hash of its code, may come out otherwise by another esbuild.
    finish: () => run("run", "flow.ts", "--resume", "--json"),
    /** Last sequence of each stream, from the store itself. */
    async ends(): Promise<ReadonlyMap<string, number>> {
      const server = await startEmbedded({ dataDir, binary }), broker = await connect(server);
      try {
        const names = await broker.list("mr_");
        return new Map(await Promise.all(names.map(async (name) => [name, (await broker.stream(name, name).bounds()).last] as const)));
      } finally {
        await broker.close();
        await server.stop();
      }
    },
    async [Symbol.asyncDispose]() { await folder[Symbol.asyncDispose](); },
  };
}

for (const [from, on] of [["2.10", "2.10"], ["2.10", "2.15"], ["2.15", "2.15"], ["2.15", "2.10"]] as const) {
  test(`a run killed under version 1 on nats-server ${from} is finished on ${on}: nothing missing, nothing twice, in order`, async () => {
    await using its = await recorded(from, on);
    // Until a run has ended its file has the run's name at the end.
    const begun = (await readdir(its.path)).find((name) => /^ledger\.jsonl\.\w+-1$/.test(name)) ?? "", written = (await its.lines(begun)).length;
    assert.ok(written > 0 && written < ledger.length, "it was killed in the middle");
    const { code, stdout, stderr } = await its.finish();
    assert.is(code, 0, stderr);
    assert.match(stderr, /resuming run/);
    const { status, stages } = JSON.parse(stdout.trim().split("\n").at(-1) as string);
    assert.is(status, "finished");
    assert.is(stages.payments.in, ledger.length + refused.length);
    assert.is(stages.checked.deadLetters, refused.length);
    assert.equal(await its.lines<Balance>("ledger.jsonl"), ledger);
    const minutes = await its.lines<Minute>("report.jsonl"), by = (a: Minute, b: Minute) => a.start - b.start || (a.account < b.account ? -1 : 1);
    assert.equal([...minutes].sort(by), [...report].sort(by));
    const letters = await its.run("dlq", "list", "payments", "--json");
    assert.is(letters.code, 0, letters.stderr);
    for (const n of refused) assert.match(letters.stdout, `"n":${n},`);
  });
}

test("where a journal is of a newer version the flow parks with JOURNAL_NEWER; journal and log stay as they were, and the version that can read them finishes the run", async () => {
  await using its = await recorded("2.15", "2.15");
  const stores = new LevelStores(join(its.dataDir, "journals")), name = store.replace("/0", `/${await generation(its.dataDir)}/0`);
  const change = async (work: (journal: Awaited<ReturnType<LevelStores["open"]>>) => Promise<void>) => {
    const journal = await stores.open(name);
    await work(journal).finally(() => journal.close());
  };
  const all = async () => {
    const entries: string[] = [];
    await change(async (journal) => {
      for await (const [key, value] of journal.range(Buffer.from([0]), Buffer.from([255]))) entries.push(`${Buffer.from(key).toString("hex")} ${Buffer.from(value).toString("hex")}`);
    });
    return entries;
  };
  await change((journal) => journal.write([{ type: "put", key: versionKey, value: Buffer.of(2) }]));
  const log = `mr_actor_payments_balances_${await generation(its.dataDir)}_0_log`, [before, end] = [await all(), (await its.ends()).get(log)];
  const { code, stderr } = await its.finish();
  assert.is.not(code, 0);
  assert.match(stderr, /JOURNAL_NEWER/);
  assert.equal(await all(), before);
  assert.is((await its.ends()).get(log), end);
  await change((journal) => journal.write([{ type: "put", key: versionKey, value: Buffer.of(1) }]));
  const again = await its.finish();
  assert.is(again.code, 0, again.stderr);
  assert.equal(await its.lines<Balance>("ledger.jsonl"), ledger);
});

test.run();

/** The one that the run has: a folder of its journals. */
async function generation(dataDir: string): Promise<string> {
  return (await readdir(join(dataDir, "journals/payments/balances")))[0] as string;
}
