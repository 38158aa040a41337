// test deadline: 120 s
// Who may make a backup where nats-roles.conf is in force: who runs nodes. Others are refused at once, by what they may not; and it is restored
// into the account of another application, which goes on with it.
import { access, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { cli, startCli } from "../../support/cli-process.ts";
import { type Application, accessOf, type Role, startWithRoles } from "../../support/nats-configured.ts";
import { tallied } from "../../support/tallied.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { eventually } from "../../support/waiting.ts";

const test = suite("backup with roles");
const flow = fileURLToPath(new URL("../../support/flows/tallies.ts", import.meta.url)), count = 6_000;

test("the role of a node makes and restores one; an operator, a viewer and a publisher are refused at once, and leave nothing behind", async () => {
  await using folder = await temporaryFolder();
  await using server = await startWithRoles();
  const at = (name: string): string => join(folder.path, name), out = at("out.jsonl");
  const as = (role: Role, application: Application = "shop") => {
    const { user, pass, inbox } = accessOf(role, application);
    return { cwd: folder.path, env: { TALLIES: String(count), TALLIES_OUT: application === "shop" ? out : at("lab.jsonl"), MILLRACE_NATS: server.servers, MILLRACE_NATS_USER: user, MILLRACE_NATS_PASSWORD: pass, MILLRACE_NATS_INBOX: inbox } };
  };
  const node = as("node");
  await using run = startCli(["run", flow, "--data-dir", "here", "--broker-sync", "always", "--json"], { ...node, env: { ...node.env, TALLIES_RATE: "1500" } });
  await eventually("it is under way", async () => (await readFile(out, "utf8").catch(() => "")).length > 10_000, 60_000);
  for (const role of ["operator", "viewer", "publisher"] as const) {
    const end = await cli(["backup", role, "tallies"], as(role));
    assert.is(end.code, 1, end.stderr);
    assert.match(end.stderr, /NATS_PERMISSION/, role);
    for (const left of [role, `${role}.partial`]) assert.is(await access(at(left)).then(() => true, () => false), false, `${left} is there`);
  }
  const made = await cli(["backup", "made", flow], node);
  assert.is(made.code, 0, made.stderr);
  assert.is((await run.ended).code, 0);
  // As the report says: the file of the sink, cut to its mark.
  const other = as("node", "lab"), restored = await cli(["restore", "made", "--data-dir", "there"], other);
  assert.is(restored.code, 0, restored.stderr);
  const need = /the first (\d+) bytes/.exec(restored.stdout)?.[1], file = /(\S+out\.jsonl\.\S+) \(/.exec(restored.stdout)?.[1]?.split("/").at(-1);
  if (need !== undefined && file !== undefined) {
    const whole = await readFile(out);
    await writeFile(at(file.replace("out.jsonl", "lab.jsonl")), whole.subarray(0, Number(need)));
  }
  const ended = await cli(["run", flow, "--data-dir", "there", "--broker-sync", "always", "--json"], other);
  assert.is(ended.code, 0, ended.stderr);
  assert.ok((await readFile(at("lab.jsonl"), "utf8")) === tallied(count), "the file is another");
});

test.run();
