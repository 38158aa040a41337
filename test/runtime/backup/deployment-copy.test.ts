// The deployment of a flow goes with its backup: nodes of another NATS load the same signed code, and go on with the run that was restored.
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { backup } from "../../../runtime/backup/backup.ts";
import { restore, type RestoreOptions } from "../../../runtime/backup/restore.ts";
import { hashOf, readBundle, storeBundle } from "../../../runtime/deploy/bundle-store.ts";
import { createDeployments, readDeployment, writeDeployment } from "../../../runtime/deploy/deployments.ts";
import { checkSignature, type Deployed, signManifest } from "../../../runtime/deploy/manifest.ts";
import { newKey } from "../../../runtime/deploy/nkey.ts";
import { systemClock, systemRandom } from "../../../runtime/event/clock.ts";
import { modeOf, writeDeploymentNote } from "../../../runtime/node/deployment-note.ts";
import { join as joinNodes } from "../../../runtime/node/membership.ts";
import { inspectSubject } from "../../../runtime/node/questions.ts";
import { RunNotes } from "../../../runtime/node/run-note.ts";
import { readRun, writeRun } from "../../../runtime/node/run-record.ts";
import { MemoryBroker } from "../../../runtime/testing/memory-broker.ts";
import { MemoryServer } from "../../../runtime/testing/memory-server.ts";
import { MemoryDisk, MemoryStores } from "../../../runtime/testing/memory-store.ts";
import { rejection } from "../../support/rejection.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

const test = suite("the deployment in a backup");
const bundle = Buffer.alloc(700_000, "export default 1;"), { key } = newKey("user");

/** A flow that was deployed and has a run, which has no stages. */
async function deployed(): Promise<{ readonly broker: MemoryBroker; readonly its: Deployed }> {
  const broker = new MemoryBroker(new MemoryServer()), its = signManifest({ name: "quakes", hash: hashOf(bundle), bytes: bundle.length, at: 1, file: "flow.ts", millrace: "1", nodes: 1, mode: "fresh" }, key);
  await createDeployments(broker, 1);
  await storeBundle(broker, "quakes", bundle, 1);
  assert.ok(await writeDeployment(broker, its, 0));
  await writeRun(broker.keys, "quakes", { token: "token000", state: "running", code: its.manifest.hash, node: "gone", startedAt: 0, inputs: [], shape: { stages: [] } as never, stages: [] }, 0);
  await writeDeploymentNote(broker.keys, "quakes", { id: its.signature, run: "token000" });
  return { broker, its };
}

const to = (broker: MemoryBroker, folder: string, more: Partial<RestoreOptions> = {}): Promise<unknown> =>
  restore({ broker, folder, replicas: 1, node: "here", notes: new RunNotes(new MemoryStores(new MemoryDisk())), removeJournals: () => Promise.resolve(), ...more });

test("bundle, signed manifest and the note of its run are restored, also twice: a node begins with the run, not anew", async () => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, "backup"), { broker, its } = await deployed(), other = new MemoryBroker(new MemoryServer());
  const manifest = await backup({ broker, clock: systemClock, random: systemRandom, folder: path, flows: ["quakes"] });
  assert.equal(manifest.flows[0]?.streams.map(({ spec }) => spec.name.slice(0, 15)), ["mr_code_quakes_"]);
  for (const replace of [false, true]) {
    await to(other, path, { replace });
    const { deployment } = await readDeployment(other, "quakes") as { deployment: Deployed };
    checkSignature(deployment, new Set([key.publicKey]));
    assert.is(deployment.signature, its.signature);
    assert.is(Buffer.compare(await readBundle(other, deployment.manifest), bundle), 0);
    const record = (await readRun(other.keys, "quakes"))?.record;
    assert.equal([record?.token, record?.state], ["token000", "stopped"]);
    // Deployed with --fresh: that has been done, once.
    assert.is(await modeOf(other.keys, { plan: { name: "quakes" }, deployment: { id: deployment.signature, mode: deployment.manifest.mode } } as never, record), "continue");
  }
});

test("without it where that is said: the bundle is there, and nothing is deployed", async () => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, "backup"), { broker } = await deployed(), other = new MemoryBroker(new MemoryServer());
  await backup({ broker, clock: systemClock, random: systemRandom, folder: path, flows: ["quakes"] });
  await to(other, path, { deploy: false });
  assert.is(await other.describe("mr_flows"), undefined);
  assert.ok((await other.list("mr_code_quakes_")).length === 1);
});

test("a flow that is deployed where nodes run is not written over: FLOW_DEPLOYED, and nothing is changed", async () => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, "backup"), { broker } = await deployed();
  await backup({ broker, clock: systemClock, random: systemRandom, folder: path, flows: ["quakes"] });
  const end = broker.serve(inspectSubject("n1"), () => Promise.resolve(Buffer.from("{}")));
  await joinNodes(broker.keys, { name: "n1", since: 0 }, () => Promise.resolve(true));
  assert.is((await rejection(to(broker, path, { replace: true }))).code, "FLOW_DEPLOYED");
  assert.is((await readRun(broker.keys, "quakes"))?.record.state, "running");
  end();
  await to(broker, path, { replace: true });
  assert.is((await readRun(broker.keys, "quakes"))?.record.state, "stopped");
});

test.run();
