// test deadline: 240 s
// A power loss with lazy fsync: the server's store, or a stream of it, as it was a moment before. It is noticed, said, and repaired from
// the journals to exactly what would have been (P30 to P32); without them exact, or parked with its reason. Never wrong in silence.
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { cli } from "../support/cli-process.ts";
import { LossWorld, type Outcome } from "./loss-world.ts";
import { type LossName, lossResults } from "./loss-flows.ts";

const test = suite("power loss");
let made: Promise<LossWorld> | undefined;
const world = (): Promise<LossWorld> => (made ??= LossWorld.make());
test.after(async () => { await (await made)?.[Symbol.asyncDispose](); });

const codeOf = (outcome: Outcome): string => (outcome === "finished" ? outcome : outcome.code);
/** What an actor may park for where the journal of a sender is gone. */
const honest = ["finished", "HISTORY_FORKED", "BROKER_WENT_BACK", "SINK_DIVERGED", "SINK_LOST"];

async function exact(its: LossWorld, name: LossName): Promise<void> {
  const report = await its.repair(name), says = JSON.stringify(report.behind);
  assert.is(report.status, "repaired", says);
  assert.is(codeOf(await its.run(name)), "finished", says);
  assert.equal(await its.wrongs(name), [], says);
}

test("nothing is lost: the run goes on, and a repair has nothing to do", async () => {
  const its = await world();
  await its.lose(() => false);
  const { status, behind, actors } = await its.repair("sums");
  assert.equal([status, behind, actors], ["whole", [], []]);
  assert.is(codeOf(await its.run("sums")), "finished");
  assert.equal(await its.wrongs("sums"), []);
});

for (const name of ["sums", "windows"] as const) {
  test(`the whole store goes back (${name}): parked, told by a dry run that changes nothing, and exact after the repair`, async () => {
    const its = await world();
    await its.lose(() => true, true);
    assert.is(codeOf(await its.run(name)), "BROKER_WENT_BACK");
    const dry = await its.repair(name, true);
    assert.is(dry.status, "repaired");
    assert.ok(dry.behind.some(({ what, mends }) => what === "log" && mends));
    assert.is(codeOf(await its.run(name)), "BROKER_WENT_BACK");
    await exact(its, name);
  });
}

for (const [name, stream] of [
  ["sums", "feed_*_0_log"], ["windows", "work_*_1_log"], ["sums", "out_*_0_log"], ["windows", "work_*_0_in_0"], ["sums", "out_*_0_in_0"], ["sums", "mr_dead_sums"],
] as const) {
  test(`${stream} goes back by itself (${name}): parked, and exact after the repair`, async () => {
    const its = await world(), pattern = new RegExp(stream.startsWith("mr_") ? `^${stream}$` : `^mr_actor_${name}_${stream.replace("*", "[^_]+")}$`);
    await its.lose((one) => pattern.test(one));
    const first = await its.run(name);
    if (first === "finished") {
      // All that was lost was in nobody's record yet: sent again as after any crash. Of letters there are so few that it may be so.
      assert.is(stream, "mr_dead_sums");
      return assert.equal(await its.wrongs(name), []);
    }
    assert.is(first.code, "BROKER_WENT_BACK", first.says);
    await exact(its, name);
  });
}

for (const name of ["sums", "windows"] as const) {
  test(`snapshot chunks go back, with the journals and without (${name}): nothing to repair, exact`, async () => {
    const its = await world();
    for (const journals of [true, false]) {
      await its.lose((one) => one.startsWith(`mr_actor_${name}_`) && one.endsWith("_snap"));
      if (!journals) for (const journal of await its.journals(name)) await rm(its.journal(journal), { recursive: true });
      assert.is(codeOf(await its.run(name)), "finished");
      assert.equal(await its.wrongs(name), []);
    }
  });
}

test("streams are gone as a whole: made again from the journals, from where those begin; exact but for what the report names: dead letters of before, and what only a mailbox held", async () => {
  const its = await world();
  await its.lose(() => false);
  await its.drop((one) => one.startsWith("mr_actor_sums_work_") || one === "mr_dead_sums");
  assert.is(codeOf(await its.run("sums")), "BROKER_WENT_BACK");
  const report = await its.repair("sums"), end = codeOf(await its.run("sums")), isLetters = (line: string): boolean => line.startsWith("mr.dead.sums.work.");
  assert.is(report.streams.length, 5, report.streams.join(", "));
  if (report.lost.every(isLetters)) {
    assert.equal([report.status, end], ["partly", "finished"]);
    assert.equal((await its.wrongs("sums")).filter((wrong) => !wrong.startsWith("dead letters")), []);
    // Each frame of these holds one letter.
    const gone = report.lost.reduce((sum, line) => { const [, first, last = first] = /frames? (\d+)(?: to (\d+))? from/.exec(line) ?? []; return sum + Number(last) - Number(first) + 1; }, 0);
    assert.ok(gone > 0, report.lost.join("; "));
    const found = await its.letters("sums"), all = lossResults.sums.letters ?? [];
    assert.equal([found, found.length], [all.filter((n) => found.includes(n)), all.length - gone], report.lost.join("; "));
  } else {
    assert.equal([report.status, end], ["stuck", "BROKER_WENT_BACK"], report.lost.join("; "));
    assert.equal(await its.wrongsSoFar("sums"), []);
  }
});

for (const [name, stage, stream] of [["sums", "feed", "feed_*_0_log"], ["windows", "work", "work_*_0_log"], ["sums", "work", "*"], ["sums", "out", "*"]] as const) {
  test(`${stream === "*" ? "the whole store" : stream} goes back and the journals of ${stage} are gone (${name}): exact, or parked with the reason; the report names what is gone`, async () => {
    const its = await world(), pattern = new RegExp(stream === "*" ? "." : `^mr_actor_${name}_${stream.replace("*", "[^_]+")}$`);
    await its.lose((one) => pattern.test(one), stream === "*");
    for (const journal of await its.journals(name)) if (journal.split("/")[1] === stage) await rm(its.journal(journal), { recursive: true });
    const report = await its.repair(name), end = await its.run(name);
    assert.ok(honest.includes(codeOf(end)), codeOf(end));
    assert.equal(end === "finished" ? await its.wrongs(name) : await its.wrongsSoFar(name), []);
    if (end !== "finished") assert.ok(report.lost.length > 0 && (stage !== "feed" || report.told.length > 0), JSON.stringify(report));
  });
}

test("a repair that is killed after any of its steps is run again, and comes to the same", async () => {
  const its = await world();
  for (const steps of [1, 2, 12, 10_000]) {
    await its.lose(() => true, true);
    const how = await its.repairUntil("sums", steps);
    assert.is(how, steps === 10_000 ? "whole" : "killed");
    const again = await its.repair("sums");
    assert.ok(["repaired", "whole"].includes(again.status));
    assert.is(codeOf(await its.run("sums")), "finished");
    assert.equal(await its.wrongs("sums"), [], `killed after ${steps} steps`);
  }
});

test("a journal that forked from its log is never written over it: said, and left as it is", async () => {
  const its = await world();
  await its.lose((one) => /^mr_actor_sums_feed_.*_log$/.test(one));
  const [journal] = (await its.journals("sums")).filter((one) => one.includes("/feed/")) as [string];
  // Another owner without the journal goes on with the log; then the journal is back.
  await its.withoutJournal(journal, () => its.run("sums"));
  const report = await its.repair("sums");
  assert.is(report.status, "stuck", JSON.stringify(report.behind));
  assert.match(report.lost.join(), /another owner went on with the log/);
  assert.is(codeOf(await its.run("sums")), "BROKER_WENT_BACK");
  assert.equal(await its.wrongsSoFar("sums"), []);
});

test("the command line: run parks with exit code 1, doctor tells what is behind, repair brings it back, run goes on to the end", async () => {
  const its = await world(), { servers, user, pass } = its.nats, flow = fileURLToPath(new URL("flows/loss.ts", import.meta.url));
  await its.lose(() => true, true);
  const env = { MILLRACE_TEST_FOLDER: its.folder, MILLRACE_NATS: servers, MILLRACE_NATS_USER: user, MILLRACE_NATS_PASSWORD: pass }, cwd = its.folder, data = ["--data-dir", join(its.folder, "data")];
  const parked = await cli(["run", flow, ...data, "--resume"], { cwd, env });
  assert.is(parked.code, 1, parked.stderr);
  assert.match(parked.stderr, /BROKER_WENT_BACK[\s\S]*millrace repair/);
  const doctor = await cli(["doctor", ...data, "--json"], { cwd, env }), losses = (JSON.parse(doctor.stdout) as { findings: { about: string; is: string; says: string; remedy?: string }[] }).findings.filter(({ about }) => about === "loss");
  assert.is(doctor.code, 1);
  assert.ok(losses.some(({ says, remedy }) => /^sums\/\w+\/0: the log ends at \d+, the journal on this node has records \d+ to \d+/.test(says) && /millrace repair sums/.test(remedy ?? "")), doctor.stdout);
  const repaired = await cli(["repair", "sums", ...data, "--json"], { cwd, env });
  assert.is(repaired.code, 0, repaired.stdout + repaired.stderr);
  assert.is((JSON.parse(repaired.stdout) as { status: string }).status, "repaired");
  const done = await cli(["run", flow, ...data, "--resume", "--json"], { cwd, env });
  assert.is(done.code, 0, done.stderr);
  assert.equal(await its.wrongs("sums"), []);
});

test("the command line: run --repair does both", async () => {
  const its = await world(), { servers, user, pass } = its.nats, flow = fileURLToPath(new URL("flows/loss.ts", import.meta.url));
  await its.lose(() => true, true);
  const env = { MILLRACE_TEST_FOLDER: its.folder, MILLRACE_TEST_FLOW: "windows", MILLRACE_NATS: servers, MILLRACE_NATS_USER: user, MILLRACE_NATS_PASSWORD: pass };
  const done = await cli(["run", flow, "--data-dir", join(its.folder, "data"), "--resume", "--repair"], { cwd: its.folder, env });
  assert.is(done.code, 0, done.stderr);
  assert.match(done.stderr, /written again from the journal/);
  assert.equal(await its.wrongs("windows"), []);
});

test.run();
