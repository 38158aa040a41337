// test deadline: 180 s
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { readConnection } from "../../../runtime/broker/nats-server/embedded.ts";
import { connect } from "../../../runtime/broker/nats-broker.ts";
import { askAll } from "../../../runtime/inspect/inquiry.ts";
import { cli, startCli } from "../../support/cli-process.ts";
import { squared } from "../../support/squared.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { eventually } from "../../support/waiting.ts";

const test = suite("millrace up");
const flow = new URL("../../support/flows/numbers.ts", import.meta.url).pathname;
const hashOf = (data: string | Buffer): string => createHash("sha256").update(data).digest("hex");
const args = ["up", "-n", "2", flow, "--fsync", "relaxed"];

test("a flow runs on several nodes of this machine to its end, and writes what a plain loop computes; nothing of it stays", async () => {
  await using folder = await temporaryFolder();
  const cwd = folder.path, end = await cli(args, { cwd, env: { NUMBERS: "20000" } });
  assert.is(end.code, 0, end.stderr);
  for (const name of ["n1", "n2"]) assert.match(end.stderr, new RegExp(`${name} \\| node ${name} has joined`));
  assert.match(end.stderr, /Finished\.\n$/);
  assert.is(hashOf(await readFile(join(cwd, "numbers.jsonl"))), hashOf(squared(20_000)));
  const again = await cli(args, { cwd, env: { NUMBERS: "500" } });
  assert.is(again.code, 0, again.stderr);
  assert.is((await readFile(join(cwd, "numbers.jsonl"), "utf8")).trim().split("\n").length, 500, "a new run");
});

test("a node that dies is started again and gets its share; Ctrl-C stops in order; the same command goes on where it was", async () => {
  await using folder = await temporaryFolder();
  const cwd = folder.path, env = { NUMBERS: "60000", NUMBERS_RATE: "5000" };
  {
    await using run = startCli(args, { cwd, env });
    await run.said(/node n1 has joined[\s\S]*node n2 has joined|node n2 has joined[\s\S]*node n1 has joined/);
    const access = await readConnection(join(cwd, ".millrace")), broker = await connect({ servers: access?.servers as string, user: access?.user as string, pass: access?.pass as string });
    try {
      const pidOf = async (name: string): Promise<number | undefined> => (await askAll(broker)).find(({ node }) => node === name)?.report?.pid;
      const working = async (name: string): Promise<boolean> => (await askAll(broker)).find(({ node }) => node === name)?.report?.lines.some(({ kind, figures }) => kind === "actor" && (figures?.in ?? 0) > 0) === true;
      await eventually("both work", async () => (await working("n1")) && (await working("n2")), 30_000);
      const pid = (await pidOf("n1")) as number;
      process.kill(pid, "SIGKILL");
      await run.said(/n1 died \(SIGKILL\); it is started again/);
      await eventually("it works again", async () => (await pidOf("n1")) !== pid && (await working("n1")), 30_000);
    } finally {
      await broker.close();
    }
    run.child.kill("SIGINT");
    const end = await run.ended;
    assert.is(end.code, 130, end.stderr);
    assert.match(end.stderr, /Stopping in order[\s\S]*Stopped\. The same command goes on where it was\.\n$/);
  }
  const end = await cli(args, { cwd, env: { ...env, NUMBERS_RATE: "100000" } });
  assert.is(end.code, 0, end.stderr);
  assert.is(hashOf(await readFile(join(cwd, "numbers.jsonl"))), hashOf(squared(60_000)));
});

test("what cannot be run is said, and nothing is left", async () => {
  await using folder = await temporaryFolder();
  const missing = await cli(["up", "-n", "2", "nowhere.ts"], { cwd: folder.path });
  assert.is(missing.code, 1);
  assert.match(missing.stderr, /FLOW_FILE_MISSING/);
  const wrong = await cli(["up", "-n", "none", flow], { cwd: folder.path });
  assert.is(wrong.code, 2);
  assert.match(wrong.stderr, /--count is "none"/);
});

test.run();
