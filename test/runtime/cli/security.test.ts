// Commands on a NATS that several share, each as its role (nats-roles.conf): what they can, what they are refused, and that no secret is
// seen: not in what they print, not in a file that they write, not in a command line.
// test deadline: 240 s
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { readConnection } from "../../../runtime/broker/nats-server/embedded.ts";
import { authority, certificate } from "../../support/certificates.ts";
import { cli, type CliEnd, startCli } from "../../support/cli-process.ts";
import { accessOf, passwordOf, type Role, roles, startConfigured, startWithRoles } from "../../support/nats-configured.ts";
import { userKey } from "../../support/nats-jwt.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { eventually } from "../../support/waiting.ts";

const test = suite("security");
const flow = fileURLToPath(new URL("../../support/flows/numbers.ts", import.meta.url));
const live = { NUMBERS: "1000000", NUMBERS_RATE: "200" };
/** Where /proc tells command lines. */
const hasProc = process.platform === "linux";

/** Of all files of a folder those that hold one of the secrets. */
async function filesWith(secrets: readonly string[], folder: string): Promise<readonly string[]> {
  const found: string[] = [], entries = await readdir(folder, { recursive: true, withFileTypes: true });
  for (const entry of entries) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name), content = await readFile(path);
    if (secrets.some((secret) => content.includes(secret))) found.push(path);
  }
  return found;
}

/** Command lines of all processes of this user that hold one of the secrets. */
async function commandLinesWith(secrets: readonly string[]): Promise<readonly string[]> {
  const found: string[] = [];
  for (const pid of (await readdir("/proc")).filter((name) => /^\d+$/.test(name))) {
    const line = await readFile(`/proc/${pid}/cmdline`, "latin1").catch(() => "");
    if (secrets.some((secret) => line.includes(secret))) found.push(line);
  }
  return found;
}

test("each role does what is its, and nothing else, by the commands; the passwords of all of them are nowhere", async () => {
  await using server = await startWithRoles();
  await using folder = await temporaryFolder();
  await using hidden = await temporaryFolder();
  const cwd = folder.path, ends: CliEnd[] = [], secrets = roles.map((role) => passwordOf(role));
  for (const role of roles) await writeFile(join(hidden.path, role), `${passwordOf(role)}\n`);
  const inFile = (role: Role) => ["--nats", server.servers, "--nats-user", accessOf(role).user, "--nats-password-file", join(hidden.path, role), "--nats-inbox", accessOf(role).inbox];
  const inEnv = (role: Role) => ({ MILLRACE_NATS: server.servers, MILLRACE_NATS_USER: accessOf(role).user, MILLRACE_NATS_PASSWORD: passwordOf(role), MILLRACE_NATS_INBOX: accessOf(role).inbox });
  const said = async (end: Promise<CliEnd>): Promise<CliEnd> => { const its = await end; ends.push(its); return its; };
  const as = (role: Role, ...args: readonly string[]) => said(cli(args, { cwd, env: inEnv(role) }));
  {
    await using nodes = startCli(["up", "-n", "1", flow, ...inFile("node")], { cwd, env: live });
    await nodes.said(/node n1 has joined/);
    // A node that has joined is given its actors a moment later.
    await eventually("they are in its tree", async () => {
      const tree = await said(cli(["tree", ...inFile("viewer")], { cwd }));
      assert.is(tree.code, 0, tree.stderr);
      return /squares/.test(tree.stdout);
    }, 60_000);
    const shown = await eventually("it is placed", async () => { const its = await as("viewer", "placement", "--why"); return its.code === 0 && its; }, 60_000);
    assert.match(shown.stdout, /numbers\/squares\/2 +n1/);
    for (const args of [["tree", "--json"], ["doctor"], ["dlq", "list", "numbers"]]) {
      const { code, stdout, stderr } = await as("viewer", ...args);
      assert.is(code, 0, `${args.join(" ")}: ${stdout}${stderr}`);
    }
    for (const [role, args, subject] of [
      ["viewer", ["scale", "numbers/squares", "4"], "mr.operate.n1"], ["viewer", ["run", flow, "--data-dir", "mine"], ""],
      ["publisher", ["tree"], "$JS.API.INFO"], ["publisher", ["dlq", "list", "numbers"], "$JS.API.INFO"],
    ] as const) {
      const { code, stdout, stderr } = await as(role, ...args);
      assert.equal([code, stdout], [1, ""], stderr);
      assert.match(stderr, /code +NATS_PERMISSION/);
      assert.ok(stderr.includes(`"${subject}`), stderr);
      assert.not.match(stderr, /^ +at /m);
    }
    // Let through; the node refuses it for a reason of its own.
    const scaled = await as("operator", "scale", "numbers/squares", "4");
    assert.not.match(scaled.stderr, /NATS_PERMISSION/);
    const wrong = await said(cli(["run", flow, "--verbose", "--data-dir", "wrong", "--nats", server.servers.replace("//", `//shop-node:${passwordOf("operator")}@`), "--nats-inbox", "_INBOX_node"], { cwd, env: { NUMBERS: "1" } }));
    assert.match(wrong.stderr, /NATS_AUTH/);
    const none = await said(cli(["tree", "--nats", server.servers, "--nats-user", "shop-viewer", "--nats-password-file", join(hidden.path, "nobody")], { cwd }));
    assert.match(none.stderr, /CREDENTIALS_UNREADABLE/);
    if (hasProc) assert.equal(await commandLinesWith(secrets), []);
    nodes.child.kill("SIGINT");
    ends.push(await nodes.ended);
  }
  assert.equal(ends.filter(({ stdout, stderr }) => secrets.some((secret) => (stdout + stderr).includes(secret))), []);
  assert.ok((await readdir(join(cwd, ".millrace", "nodes", "n1"))).includes("millrace.log"), "there is something to look at");
  assert.equal(await filesWith(secrets, cwd), []);
});

test("TLS, a certificate and an nkey go from `up` to its nodes; a wrong authority is told with its code", async () => {
  const ca = authority("ca"), other = authority("other"), server = certificate("server", ["127.0.0.1"], ca, "ca"), client = certificate("client", ["client"], ca, "ca"), { seed, publicKey } = userKey();
  await using nats = await startConfigured(`tls { cert_file: "server.pem", key_file: "server-key.pem", ca_file: "ca.pem", verify: true }\nauthorization { users: [{ nkey: ${publicKey} }] }`, { files: { "server.pem": server.cert, "server-key.pem": server.key, "ca.pem": ca.cert } });
  await using folder = await temporaryFolder();
  await using hidden = await temporaryFolder();
  const path = (name: string) => join(hidden.path, name), cwd = folder.path;
  for (const [name, text] of Object.entries({ "ca.pem": ca.cert, "other.pem": other.cert, "client.pem": client.cert, "client-key.pem": client.key, "node.nk": seed })) await writeFile(path(name), text);
  const to = ["--nats", nats.servers, "--nats-nkey", path("node.nk"), "--nats-tls-cert", path("client.pem"), "--nats-tls-key", path("client-key.pem"), "--nats-tls-ca"];
  const up = await cli(["up", "-n", "1", flow, ...to, path("ca.pem")], { cwd, env: { NUMBERS: "500" } });
  assert.is(up.code, 0, up.stderr);
  assert.is((await readFile(join(cwd, "numbers.jsonl"), "utf8")).trim().split("\n").length, 500);
  const wrong = await cli(["tree", ...to, path("other.pem")], { cwd });
  assert.is(wrong.code, 1);
  assert.match(wrong.stderr, /code +NATS_TLS/);
  assert.match(wrong.stderr, /--nats-tls-ca/);
  const key = client.key.split("\n")[1] as string;
  for (const { stdout, stderr } of [up, wrong]) assert.not.ok([seed, key].some((secret) => (stdout + stderr).includes(secret)));
  assert.equal(await filesWith([seed, key], cwd), []);
});

test("the password of the embedded server is in one file that only its user can read, while the node runs, and nowhere else", async () => {
  await using folder = await temporaryFolder();
  const cwd = folder.path, dataDir = join(cwd, ".millrace");
  await using run = startCli(["run", flow, "--fsync", "relaxed"], { cwd, env: live });
  await run.said(/numbers: run/);
  const { pass = "" } = (await readConnection(dataDir)) ?? {};
  assert.ok(pass.length > 32);
  const printed = [await cli(["tree", "--json"], { cwd }), await cli(["doctor"], { cwd })];
  assert.equal(printed.map(({ code }) => code), [0, 0]);
  if (hasProc) assert.equal(await commandLinesWith([pass]), []);
  assert.equal(await filesWith([pass], cwd), [join(dataDir, "nats", "connection.json")]);
  run.child.kill("SIGINT");
  const end = await run.ended;
  assert.not.ok([...printed, end].some(({ stdout, stderr }) => (stdout + stderr).includes(pass)));
  assert.equal(await filesWith([pass], cwd), []);
});

test("the help says that a password on the command line cannot be hidden", async () => {
  await using folder = await temporaryFolder();
  const { stdout } = await cli(["tree", "--help"], { cwd: folder.path });
  assert.match(stdout.replace(/\s+/g, " "), /--nats-password <password> others on this machine see a command line, and it cannot be hidden/);
});

test.run();
