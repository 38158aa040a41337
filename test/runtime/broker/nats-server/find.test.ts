import { mkdir, symlink } from "node:fs/promises";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { cachedPath, findNatsServer, type Environment } from "../../../../runtime/broker/nats-server/find.ts";
import { placeFakeNatsServer } from "../../../support/fake-nats-server.ts";
import { rejection } from "../../../support/rejection.ts";
import { temporaryFolder } from "../../../support/temporary-folder.ts";

const test = suite("find");

/** A machine with these versions in folders of its PATH, in this order, and these in its cache. */
async function machine(root: string, onPath: readonly string[], cached: readonly string[]): Promise<Environment> {
  const folders: string[] = [];
  for (const [i, version] of onPath.entries()) {
    const folder = join(root, `bin${i}`);
    await placeFakeNatsServer(join(folder, "nats-server"), version);
    folders.push(folder);
  }
  // /bin: what the fakes themselves need is found by an absolute path.
  const env = { PATH: folders.join(":"), XDG_CACHE_HOME: join(root, "cache") };
  for (const version of cached) await placeFakeNatsServer(cachedPath(version, env), version);
  return env;
}

test("the newest in the range is taken, wherever it is on the PATH", async () => {
  await using root = await temporaryFolder();
  const { found } = await findNatsServer({ env: await machine(root.path, ["2.10.27", "2.12.1", "2.11.0"], []) });
  assert.equal(found, { path: join(root.path, "bin1", "nats-server"), version: "2.12.1" });
});

test("one that is too old is passed over, though it is first on the PATH, and said", async () => {
  await using root = await temporaryFolder();
  const { found, passedOver } = await findNatsServer({ env: await machine(root.path, ["2.9.10", "2.10.27"], []) });
  assert.is(found?.version, "2.10.27");
  assert.equal(passedOver.map(({ path }) => path), [join(root.path, "bin0", "nats-server")]);
  assert.match(passedOver[0]?.reason as string, /2\.9\.10 is not in the tested range/);
});

test("one that is too new is passed over", async () => {
  await using root = await temporaryFolder();
  assert.is((await findNatsServer({ env: await machine(root.path, ["2.16.0", "2.10.27"], []) })).found?.version, "2.10.27");
});

test("the cache is searched as well, and the newer of both is taken", async () => {
  await using root = await temporaryFolder();
  const env = await machine(root.path, ["2.10.27"], ["2.14.0", "2.12.0"]);
  assert.equal((await findNatsServer({ env })).found, { path: cachedPath("2.14.0", env), version: "2.14.0" });
});

test("a series can be asked for", async () => {
  await using root = await temporaryFolder();
  const env = { ...(await machine(root.path, ["2.15.1"], ["2.10.27"])), MILLRACE_NATS_SERVER: "/nowhere" };
  assert.is((await findNatsServer({ env, series: "2.10" })).found?.version, "2.10.27");
  assert.is((await findNatsServer({ env, series: "2.11" })).found, undefined);
});

test("nothing in range gives nothing, with what was passed over", async () => {
  await using root = await temporaryFolder();
  const search = await findNatsServer({ env: await machine(root.path, ["2.9.10"], []) });
  assert.is(search.found, undefined);
  assert.is(search.passedOver.length, 1);
  assert.equal(await findNatsServer({ env: { PATH: "", XDG_CACHE_HOME: join(root.path, "none") } }), { passedOver: [] });
});

test("one binary that the PATH leads to twice is looked at once", async () => {
  await using root = await temporaryFolder();
  const env = await machine(root.path, ["2.9.10"], []);
  await mkdir(join(root.path, "link"));
  await symlink(join(root.path, "bin0", "nats-server"), join(root.path, "link", "nats-server"));
  const { passedOver } = await findNatsServer({ env: { ...env, PATH: `${env["PATH"]}:${join(root.path, "link")}` } });
  assert.is(passedOver.length, 1);
});

test("MILLRACE_NATS_SERVER goes before all others, also one newer than tested", async () => {
  await using root = await temporaryFolder();
  const named = await placeFakeNatsServer(join(root.path, "mine"), "2.17.0");
  const { found } = await findNatsServer({ env: { ...(await machine(root.path, ["2.15.1"], [])), MILLRACE_NATS_SERVER: named } });
  assert.equal(found, { path: named, version: "2.17.0" });
});

for (const [what, version] of [["too old", "2.9.10"], ["none", ""]] as const) {
  test(`a MILLRACE_NATS_SERVER that is ${what} is refused, not passed over`, async () => {
    await using root = await temporaryFolder();
    const named = await placeFakeNatsServer(join(root.path, "mine"), version);
    const error = await rejection(findNatsServer({ env: { ...(await machine(root.path, ["2.15.1"], [])), MILLRACE_NATS_SERVER: named } }));
    assert.is(error.code, "NATS_SERVER_INVALID");
    assert.is(error.where, "MILLRACE_NATS_SERVER");
  });
}

test.run();
