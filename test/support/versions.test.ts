import { spawnSync } from "node:child_process";
import { symlinkSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { temporaryFolder } from "./temporary-folder.ts";
import { versionsIn } from "./versions.ts";

const test = suite("versions");
const root = fileURLToPath(new URL("../..", import.meta.url));

test("the options are taken out of the arguments wherever they stand, and the others are left as they were", () => {
  assert.equal(versionsIn(["kill", "--node", "22", "--events", "5", "--nats-server=2.10"]), { versions: { node: "22", "nats-server": "2.10" }, others: ["kill", "--events", "5"] });
  assert.equal(versionsIn(["--nats-client", "natsio", "test/runtime", "--deadline", "9"]), { versions: { "nats-client": "natsio" }, others: ["test/runtime", "--deadline", "9"] });
  assert.equal(versionsIn(["test", "--deadline", "9"]), { versions: {}, others: ["test", "--deadline", "9"] });
  assert.throws(() => versionsIn(["--node"]), /needs a value/);
});

test("what is run under another Node is run by that Node, with the client library and the server that were named", async () => {
  await using folder = await temporaryFolder();
  const node = join(folder.path, "other-node");
  symlinkSync(process.execPath, node);
  const script = "import { runOnVersions } from './test/support/versions.ts'; const code = await runOnVersions('test/support/fixtures/tells-versions.ts', process.argv.slice(1)); console.log('code', code);";
  const { stdout } = spawnSync(process.execPath, ["--conditions=source", "--import", "tsx", "--input-type=module", "-e", script, "--", "a", "--node", node, "--nats-server", node, "--nats-client", "natsio"], { cwd: root, encoding: "utf8" });
  assert.match(stdout, `told: a ${node} ${node} natsio`);
  assert.match(stdout, "code 3");
});

test.run();
