// nats.conf as it stands in the project, by the servers of both ends of the tested range.
import { execFile } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { startEmbedded } from "../../../../runtime/broker/nats-server/embedded.ts";
import { findOrObtain } from "../../../../runtime/broker/nats-server/obtain.ts";
import { temporaryFolder } from "../../../support/temporary-folder.ts";

const test = suite("nats.conf");
const root = fileURLToPath(new URL("../../../..", import.meta.url));

for (const [end, options] of [["newest", {}], ["oldest", { series: "2.10" }]] as const) {
  test(`nats-server -t -c nats.conf is content, the ${end} in the tested range`, async () => {
    const { path } = await findOrObtain(options);
    const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("MILLRACE_")));
    const { stdout, stderr } = await promisify(execFile)(path, ["-t", "-c", join(root, "nats.conf")], { env });
    assert.match(`${stdout}${stderr}`, "is valid");
  });

  test(`the ${end} in the tested range starts with it as the embedded server`, async () => {
    await using folder = await temporaryFolder();
    await using server = await startEmbedded({ dataDir: folder.path, binary: await findOrObtain(options) });
    assert.ok(server.port > 0);
  });
}

test.run();
