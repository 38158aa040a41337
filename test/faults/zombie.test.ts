// test deadline: 240 s
// A node that stands still while another one takes its flow over, and then goes on as if nothing had been: it is fenced, and changes nothing.
import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { BrokerStream } from "../../runtime/broker/broker.ts";
import { decodeRecord } from "../../runtime/journal/record.ts";
import { abreast } from "../support/abreast.ts";
import { eventually } from "../support/waiting.ts";
import type { StepName } from "./kill-point.ts";
import type { Life } from "./matrix-child.ts";
import { Lives } from "./matrix-lives.ts";
import { lettersOf } from "./matrix-verifier.ts";

const test = suite("zombies");
let started: Promise<Lives> | undefined;
test.after(async () => { await (await started)?.[Symbol.asyncDispose](); });
/** At the same time: most of it is waiting for the one to take over, and for the other to notice. */
const atOnce = 4;

/** What the world can see of a flow: its result, its logs, its dead letters. */
async function seen(lives: Lives, { name, folder }: Life): Promise<unknown> {
  const prefix = `mr_actor_${name}_`, logs: [string, number][] = [];
  for (const stream of (await lives.broker.list(prefix)).filter((its) => its.endsWith("_log")).toSorted()) logs.push([stream, await lastChange(lives.broker.stream(stream, stream.replaceAll("_", ".")))]);
  return { logs, letters: (await lettersOf(lives.broker, name)).length, rows: await readFile(join(folder, "out.jsonl"), "utf8") };
}

/** Where the newest record is that says more than who owns the log: who comes late may still claim it, see that all is over, and stop. */
async function lastChange(log: BrokerStream): Promise<number> {
  const { first, last } = await log.bounds();
  let at = 0, isClaimed = false;
  for await (const { seq, data } of log.read(first, last)) {
    const { kind } = decodeRecord(data), isLate = kind === "claim" || (kind === "stop" && isClaimed);
    if (!isLate) at = seq;
    isClaimed = kind === "claim";
  }
  return at;
}

/** Of a process: "T" stands still. Only on Linux. */
function stateOf(pid: number): string {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  return stat.slice(stat.lastIndexOf(")") + 2, stat.lastIndexOf(")") + 3);
}

async function zombie(kind: string, step: StepName, nth: number): Promise<void> {
  const lives = await (started ??= Lives.start());
  await lives.run(kind, async (life) => {
    const first = lives.begin({ ...life, step, nth, act: "SIGSTOP" }), pid = first.process.pid as number;
    await eventually(`it stands still at ${step}`, () => stateOf(pid) === "T", 20_000);
    const other = { ...life, dataDir: join(life.folder, "other") }, end = await lives.live(other);
    assert.is(end.code, 0, `the other node ended with ${end.signal ?? end.code}: ${end.said}`);
    const before = await seen(lives, life);
    first.process.kill("SIGCONT");
    const its = await first.ended;
    assert.match(its.said, /FLOW_TAKEN|belongs to another node/, `it ended with ${its.signal ?? its.code}: ${its.said}`);
    assert.equal(await seen(lives, life), before, "the zombie changed nothing");
    assert.equal(await lives.judge(other), []);
    return { wrongs: [] };
  });
}

if (process.platform === "linux") {
  for (const [[kind, step], ended] of abreast(atOnce, [
    ["windows", "record-before", 8], ["letters", "batch-before", 10], ["stateless", "frame-before", 6], ["files", "write-before", 1], ["time", "write-after", 2],
    ["timers", "purge-before", 1], ["retries", "trim-before", 1], ["concurrency", "handler-middle", 20],
  ] as const, ([kind, step, nth]) => zombie(kind, step, nth))) {
    test(`a node that stood still at ${step} (${kind}) while another took its flow over is fenced and changes nothing`, ended);
  }
} else test("a process can be stopped and continued only where there are signals for it", () => assert.not(process.platform === "linux"));

test.run();
