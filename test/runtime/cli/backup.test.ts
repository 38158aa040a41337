// `millrace backup` and `restore` on real nats-servers, files and processes: of a flow that runs, into a nats-server 2.10 where the machine has
// one; of the same after kill -9, into a server of its own; truncated, it is refused.
// test deadline: 180 s
import { copyFile, readdir, readFile, truncate, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { findNatsServer } from "../../../runtime/broker/nats-server/find.ts";
import { cli, type CliEnd, startCli } from "../../support/cli-process.ts";
import { linesIn } from "../../support/line-count.ts";
import { startNatsServer, type TestServer } from "../../support/nats-server.ts";
import { tallied } from "../../support/tallied.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { eventually } from "../../support/waiting.ts";

const test = suite("backup and restore");
const flow = fileURLToPath(new URL("../../support/flows/tallies.ts", import.meta.url)), count = 24_000;

interface Told {
  readonly flows: readonly { readonly flow: string; readonly run: string; readonly actors: readonly { readonly actor: string; readonly commit: number }[]; readonly sinks: readonly { readonly batch: number; readonly mark: { readonly offset: number; readonly generation: string }; readonly target: string }[] }[];
}

const on = ({ servers, user, pass }: TestServer): Record<string, string> => ({ MILLRACE_NATS: servers, MILLRACE_NATS_USER: user, MILLRACE_NATS_PASSWORD: pass });

function told({ code, stdout, stderr }: CliEnd): Told["flows"][number] {
  assert.is(code, 0, stderr);
  return (JSON.parse(stdout) as Told).flows[0] as Told["flows"][number];
}

test("copied while it runs and after a kill, restored into other servers, both copies come to the same bytes as an undisturbed run", async () => {
  await using folder = await temporaryFolder();
  await using old = await startNatsServer();
  const lower = (await findNatsServer({ series: "2.10" })).found !== undefined;
  await using other = await startNatsServer(lower ? { series: "2.10" } : {});
  const at = (name: string): string => join(folder.path, name), out = at("out.jsonl"), env = { TALLIES: String(count), TALLIES_OUT: out };
  const here = { cwd: folder.path, env: { ...env, ...on(old) } };
  await using run = startCli(["run", flow, "--data-dir", "here", "--broker-sync", "always", "--json"], { ...here, env: { ...here.env, TALLIES_RATE: "1000" } });
  await eventually("it is under way", async () => (await linesIn(out)) > 1_500, 60_000);
  const live = told(await cli(["backup", "live", flow, "--json"], here));
  const before = await linesIn(out);
  await eventually("it goes on meanwhile", async () => (await linesIn(out)) > before, 30_000);
  run.child.kill("SIGKILL");
  assert.is((await run.ended).code, 137);
  assert.ok(before < count, "it was not over yet");
  const still = told(await cli(["backup", "still", "--json", "tallies"], here));
  assert.is(live.run, still.run);
  for (const { actor, commit } of still.actors) assert.ok(commit >= (live.actors.find((its) => its.actor === actor)?.commit ?? Infinity), actor);

  const goOn = async (name: string, its: Told["flows"][number], where: Record<string, string>): Promise<void> => {
    const mine = at(`${name}.jsonl`), options = { cwd: folder.path, env: { ...env, ...where, TALLIES_OUT: mine } }, data = ["--data-dir", `data-${name}`];
    const restored = await cli(["restore", name, ...data], options);
    assert.is(restored.code, 0, restored.stderr);
    for (const { actor, commit } of its.actors) assert.match(restored.stdout, `${actor.slice("tallies/".length)} ${commit.toLocaleString("en-US")}`);
    assert.match(restored.stdout, /To go on: millrace run/);
    const sink = its.sinks[0] as Told["flows"][number]["sinks"][number];
    assert.match(restored.stdout, `the first ${sink.mark.offset} bytes`);
    await copyFile(`${out}.${sink.mark.generation}`, `${mine}.${sink.mark.generation}`);
    await truncate(`${mine}.${sink.mark.generation}`, sink.mark.offset);
    const ended = await cli(["run", flow, ...data, "--json"], options);
    assert.is(ended.code, 0, ended.stderr);
    assert.match(ended.stderr, `resuming run ${its.run}`);
    assert.ok((await readFile(mine, "utf8")) === tallied(count), `${name}: the file is another`);
  };
  await goOn("live", live, on(other));
  await goOn("still", still, {});

  const files = await readdir(at("still/tallies")), log = at(join("still/tallies", files.find((name) => name.endsWith("_log.stream")) as string)), bytes = await readFile(log);
  await writeFile(log, bytes.subarray(0, bytes.length - 5));
  const refused = await cli(["restore", "still", "--data-dir", "data-refused"], { cwd: folder.path, env });
  assert.is(refused.code, 1);
  assert.match(refused.stderr, /BACKUP_DAMAGED/);
  assert.match(refused.stderr, basename(log));
  assert.is((await cli(["restore", "nowhere", "--data-dir", "data-refused"], { cwd: folder.path, env })).code, 1);
});

test.run();
