// test deadline: 240 s
// Dead letters replayed while everything is killed: the node at each step that it comes to, and who asks. Each goes through once, and
// the keys that wait for them go on in order.
import { writeFile } from "node:fs/promises";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { systemClock, systemRandom } from "../../runtime/event/clock.ts";
import { allLetters, newestLetters } from "../../runtime/inspect/dead-letters.ts";
import { settleLetters } from "../../runtime/inspect/letter-orders.ts";
import { abreast } from "../support/abreast.ts";
import { startCli } from "../support/cli-process.ts";
import { eventually } from "../support/waiting.ts";
import type { StepName } from "./kill-point.ts";
import type { Life } from "./matrix-child.ts";
import { kindOf, mendedBy } from "./matrix-kinds.ts";
import { type BegunLife, Lives } from "./matrix-lives.ts";

const test = suite("replay");
const expected = kindOf("parked").letters?.length as number;
let started: Promise<Lives> | undefined;
test.after(async () => { await (await started)?.[Symbol.asyncDispose](); });
/** At the same time: most of it is waiting for answers of who was killed. */
const atOnce = 4;

const inputOf = ({ folder }: Life): { readonly input: string } => ({ input: `${folder}/in.jsonl` });

async function parkedRun(body: (lives: Lives, life: Life, first: BegunLife) => Promise<void>, more: Partial<Life> = {}): Promise<void> {
  const its = await (started ??= Lives.start());
  await its.run("parked", async (life) => {
    const first = its.begin({ ...life, ...more, armedBy: mendedBy(inputOf(life)) });
    await eventually("every key is parked", async () => (await newestLetters(its.broker, life.name, 100, { open: true })).length === expected, 20_000);
    await writeFile(mendedBy(inputOf(life)), "");
    await body(its, life, first);
    assert.equal(await its.judge(life), []);
    const after = await newestLetters(its.broker, life.name, 100);
    assert.equal([after.length, new Set(after.map(({ status }) => status))], [expected, new Set(["replayed"])]);
    return { wrongs: [] };
  });
}

/** Asks for all that is open, and again, whatever becomes of the node, until a life ends by itself. */
async function replayAll(its: Lives, life: Life, first: BegunLife): Promise<number> {
  let deaths = 0, over = false;
  const ended = (async () => {
    for (let end = await first.ended; ; end = await its.live(life)) {
      if (end.signal !== "SIGKILL") return end;
      deaths++;
    }
  })().finally(() => { over = true; });
  while (!over) {
    try {
      for await (const [, outcome] of settleLetters(its.broker, life.name, allLetters(its.broker, life.name, { open: true }), "replay", { clock: systemClock, random: systemRandom, patienceMs: 1_000 })) if (outcome.is === "failed" && !["PENDING", "ENDED"].includes(outcome.code)) throw new Error(`${outcome.code}: ${outcome.message}`);
    } catch (error) {
      if (!["NOT_RUNNING", "UNREACHABLE", "NOT_FOUND"].includes((error as { code?: string }).code ?? "")) throw error;
    }
    await new Promise(setImmediate);
  }
  const { code, said } = await ended;
  assert.is(code, 0, said);
  return deaths;
}

for (const [step, ended] of abreast(atOnce, [
  "handler-before", "handler-middle", "handler-after", "record-before", "record-sent", "record-stored", "record-acknowledged", "batch-before", "batch-after",
  "letter-before", "letter-stored", "frame-before", "frame-sent", "frame-stored", "snapshot-stored", "fold-middle",
] as const satisfies readonly StepName[], (step, at) => {
  // Where turns are large few snapshots are taken.
  const nth = at % 2 === 0 || step === "fold-middle" ? 1 : 3;
  return parkedRun(async (its, life, first) => { assert.is(await replayAll(its, life, first), 1, "it was killed once"); }, { step, nth });
})) {
  test(`a node that is killed at ${step} while letters are replayed: each goes through once, keys keep their order`, ended);
}

test("who asks is killed again and again: what was settled is not done twice, the rest goes on", async () => {
  await parkedRun(async (its, life, first) => {
    const args = ["dlq", "replay", life.name, "--all", "--json", "--nats", life.servers, "--nats-user", life.user, "--nats-password", life.pass];
    let killed = 0;
    for (let kill = 0; kill < 3; kill++) {
      await using asking = startCli(args, { cwd: life.folder });
      if (kill > 0) await eventually("something is settled, or it is over", async () => asking.child.exitCode !== null || (await newestLetters(its.broker, life.name, 100, { open: true })).length < expected, 30_000);
      if (asking.child.kill("SIGKILL")) killed++;
    }
    assert.ok(killed > 0);
    await replayAll(its, life, first);
  });
});

test.run();
