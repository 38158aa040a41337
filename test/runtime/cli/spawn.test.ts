// test deadline: 180 s
// `millrace spawn` between hosts of their own, over a real sshd that runs as an ordinary user of the other one.
import { chmod, mkdir, readdir, readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { type CliEnd, type CliProcess, startCli } from "../../support/cli-process.ts";
import { startHostNats } from "../../support/host-nats.ts";
import { networkHosts } from "../../support/network-hosts.ts";
import { findSshd, startSshServer } from "../../support/ssh-server.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { eventually } from "../../support/waiting.ts";

const test = suite("millrace spawn"), checkout = fileURLToPath(new URL("../../..", import.meta.url));
const folder = await temporaryFolder(), made = await networkHosts("nats", "here", "there"), sshd = await findSshd(folder.path);

if (typeof made === "string" || typeof sshd === "string") {
  await folder[Symbol.asyncDispose]();
  console.log(`  SKIPPED: no second machine to spawn a node on: ${typeof made === "string" ? made : sshd}`);
  test("what cannot be is refused before anything is started", async () => {
    const { code, stderr } = await startCli(["spawn", "ann@nowhere"], { cwd: checkout, env: { MILLRACE_NATS: "" } }).ended;
    assert.is(code, 2);
    assert.match(stderr, /OPTION_INVALID/);
  });
} else {
  const { hosts: { here, there, nats: broker } } = made, secret = "hunter2-of-the-test";
  for (const name of ["nats", "ssh", "operator", "shop/node_modules", "empty"]) await mkdir(join(folder.path, name), { recursive: true });
  // As it is installed: what was built.
  await symlink(checkout, join(folder.path, "shop/node_modules/millrace"));
  const nats = await startHostNats(broker, join(folder.path, "nats"), { user: "shop", pass: secret }), server = await startSshServer(there, sshd, join(folder.path, "ssh"));
  test.after(async () => {
    for (const one of [server, nats, made, folder]) await one[Symbol.asyncDispose]();
  });

  const start = (args: readonly string[], { PATH, ...env }: Readonly<Record<string, string>> = {}): CliProcess => startCli(args, {
    on: PATH === undefined ? here : { prefix: [...here.prefix, "/usr/bin/env", `PATH=${PATH}`] }, cwd: join(folder.path, "operator"), env: { MILLRACE_NATS: nats.servers, MILLRACE_NATS_USER: nats.user, MILLRACE_NATS_PASSWORD: nats.pass, ...env },
  });
  const ssh = (options = server.options): readonly string[] => options.flatMap((option) => ["--ssh-option", option]);
  const usual = ["spawn", server.destination, ...ssh(), "--project", join(folder.path, "shop")];
  const members = async (): Promise<readonly string[]> => {
    await using asked = start(["nodes", "--json"]);
    return (JSON.parse((await asked.ended).stdout) as { nodes: readonly { name: string }[] }).nodes.map(({ name }) => name);
  };
  const spawned = async (args: readonly string[], env = {}): Promise<CliEnd> => {
    await using run = start(args, env);
    return await run.ended;
  };

  test("a node joins from the other machine, its words are passed on, no secret is in any command line, and with Ctrl-C it leaves in order", async () => {
    await using run = start([...usual, "--", "--name", "n2", "--label", "zone=b"]);
    await run.said(/n2 has joined the cluster from ann@10\.77\.0\.3; Ctrl-C has it leave in order/);
    assert.match(run.stderr, /ann@10\.77\.0\.3 \| node n2 has joined: nats-server 2\.\d+\.\d+ at nats:\/\/10\.77\.0\.1:4222, data in \.millrace\/nodes\/n2/);
    assert.equal(await members(), ["n2"]);
    let seen = 0;
    for (const pid of await readdir("/proc")) {
      const line = /^\d+$/.test(pid) ? await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "") : "";
      if (line.includes("zone=b")) seen++;
      assert.not(line.includes(secret), line);
    }
    assert.ok(seen >= 2, "the command here and the node there were looked at");
    run.child.kill("SIGINT");
    const { code, stderr } = await run.ended;
    assert.is(code, 130, stderr);
    assert.equal(await members(), []);
    assert.ok((await readdir(join(folder.path, "shop/.millrace/nodes/n2"))).includes("millrace.log"), "its data are in the project there");
  });

  test("--detach: it goes on after the command has returned, and ends in order by its process id; what its connection needs of files came with it", async () => {
    const password = join(folder.path, "operator", "password");
    await writeFile(password, `${secret}\n`);
    const { code, stdout, stderr } = await spawned([...usual, "--detach", "--json", "--nats-password-file", password, "--", "--name", "n3"], { MILLRACE_NATS_PASSWORD: "" });
    assert.is(code, 0, stderr);
    const { node, pid, detached, log } = JSON.parse(stdout) as { node: string; pid: number; detached: boolean; log: string };
    assert.equal([node, detached], ["n3", true]);
    assert.equal(await members(), ["n3"]);
    assert.match(await readFile(log, "utf8"), /^node n3 has joined: /m);
    process.kill(pid, "SIGTERM");
    await eventually("it has ended", () => { try { process.kill(pid, 0); return false; } catch { return true; } }, 20_000);
    assert.equal(await members(), []);
    assert.match(await readFile(log, "utf8"), /Leaving: 0 actors/);
  });

  const old = join(folder.path, "old-node");
  test.before(async () => {
    await writeFile(join(folder.path, "old.cjs"), 'Object.defineProperty(process, "versions", { value: { ...process.versions, node: "18.19.0" } });\n');
    await writeFile(old, `#!/bin/sh\nexec ${process.execPath} -r ${join(folder.path, "old.cjs")} "$@"\n`);
    await chmod(old, 0o755);
  });
  const with_ = (...more: readonly string[]): readonly string[] => ["spawn", server.destination, ...more.flatMap((option) => ["--ssh-option", option]), ...ssh(), "--project", join(folder.path, "shop")];
  const refused: readonly (readonly [guarantee: string, args: () => readonly string[], code: string, says: RegExp, env?: Readonly<Record<string, string>>])[] = [
    ["no ssh on this machine", () => usual, "SSH_MISSING", /There is no program ssh on this machine/, { PATH: "/nowhere" }],
    ["nothing listens there", () => with_("Port=2223"), "SSH_REFUSED", /takes no ssh there: .*Connection refused/],
    ["a host key that is not known", () => with_("UserKnownHostsFile=/dev/null"), "SSH_HOST_KEY", /is not known here/],
    ["another host key than the known one", () => with_(`UserKnownHostsFile=${server.wrongHosts}`), "SSH_HOST_KEY", /has another host key than the one that is known/],
    ["no key that it lets in", () => ["spawn", server.destination, ...ssh(server.options.filter((option) => !option.startsWith("IdentityFile"))), "--ssh-option", "IdentityFile=/dev/null"], "SSH_DENIED", /does not let this user in: .*Permission denied/],
    ["an option that ssh does not have", () => with_("Prt=2222"), "SSH_OPTION", /ssh does not take an option/],
    ["no Node there", () => [...usual, "--node", "/opt/none/bin/node"], "NODE_MISSING", /There is no program \/opt\/none\/bin\/node on ann@10\.77\.0\.3/],
    ["a Node that is too old", () => [...usual, "--node", old], "NODE_TOO_OLD", /Node on ann@10\.77\.0\.3 is 18\.19\.0/],
    ["no project there", () => [...usual.slice(0, -1), "~/nothing"], "PROJECT_MISSING", new RegExp(`There is no folder ${server.home}/nothing on`)],
    ["a project without Millrace", () => [...usual.slice(0, -1), join(folder.path, "empty")], "MILLRACE_MISSING", /has no millrace/],
    ["a node that does not start", () => [...usual, "--", "--name", "No Name"], "SPAWN_FAILED", /ended with exit code 2 before it had joined/],
    ["a server that only this machine reaches", () => [...usual, "--nats", "nats://127.0.0.1:4222"], "OPTION_INVALID", /the other machine would look for a server on itself/],
    ["a secret among the node's options", () => [...usual, "--", "--nats-password", "x"], "OPTION_INVALID", /others on the other machine would see it/],
    ["a destination that ssh would take for an option", () => ["spawn", "-oProxyCommand=touch x"], "OPTION_INVALID", /OPTION_INVALID|unknown option/],
  ];
  for (const [guarantee, args, code, says, env] of refused) {
    test(`${guarantee}: ${code}`, async () => {
      const { code: exit, stderr } = await spawned(args(), env);
      assert.is(exit, code === "OPTION_INVALID" ? 2 : 1, stderr);
      assert.match(stderr, says);
      if (!/unknown option/.test(stderr)) assert.match(stderr, new RegExp(`code   ${code}`));
      assert.not(stderr.includes(secret));
    });
  }
}

test.run();
