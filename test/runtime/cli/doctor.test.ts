// What `millrace doctor` says of a flow's file: which code it is, to whom.
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { checkFlow } from "../../../runtime/cli/doctor-flows.ts";
import { loadFlow, packFlow } from "../../../runtime/cli/flow-file.ts";
import { hashOf } from "../../../runtime/deploy/bundle-store.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

const test = suite("doctor");

const text = (more: string): string => `import { defineFlow } from "millrace";
import { collect, generate, map } from "millrace/actors";
${more}
export default defineFlow("numbers", (flow) => { flow.sink("out", flow.processor("each", flow.source("feed", generate({ count: 1, make: (n) => ({ n }) })), map((data) => (data.n < 0 ? native() : data))), collect([])); });`;

test("of a file the code that is run and the code that is deployed are named apart, each as those commands have it", async () => {
  await using folder = await temporaryFolder();
  const flow = join(folder.path, "flow.ts"), dataDir = join(folder.path, "data");
  await writeFile(flow, text("const native = () => ({ n: 0 });"));
  const says = (await checkFlow({ flow, dataDir })).map((finding) => finding.says), run = (await loadFlow(flow, dataDir)).hash, deployed = hashOf(await packFlow(flow));
  assert.is.not(run, deployed);
  assert.equal(says.slice(0, 2), ["numbers: 3 stages, 3 actors", `numbers: its code is ${run.slice(0, 12)} to run, up and node --flow, ${deployed.slice(0, 12)} to deploy, which packs its packages with it`]);
});

test("a file that runs here and cannot be deployed is a warning that says why", async () => {
  await using folder = await temporaryFolder();
  const flow = join(folder.path, "flow.ts"), dataDir = join(folder.path, "data"), native = join(folder.path, "node_modules", "native");
  await mkdir(native, { recursive: true });
  await writeFile(join(native, "package.json"), '{ "name": "native", "main": "index.cjs" }');
  await writeFile(join(native, "index.cjs"), 'module.exports = () => require("./native.node");');
  await writeFile(join(native, "native.node"), "machine code");
  await writeFile(flow, text('import native from "native";'));
  const [shape, code] = await checkFlow({ flow, dataDir });
  assert.equal([shape?.is, code?.is], ["ok", "warn"]);
  assert.match(code?.says ?? "", /^numbers: its code is [0-9a-f]{12} to run, up and node --flow; it cannot be deployed: .*native\.node.*\(FLOW_FILE_INVALID\)$/s);
  assert.ok((code?.remedy ?? "").length > 10);
});

test.run();
