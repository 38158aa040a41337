import { suite } from "uvu";
import * as assert from "uvu/assert";
import { readDeploymentNote, writeDeploymentNote } from "../../../runtime/node/deployment-note.ts";
import { MemoryBroker } from "../../../runtime/testing/memory-broker.ts";
import { MemoryServer } from "../../../runtime/testing/memory-server.ts";
import { rejection } from "../../support/rejection.ts";

const test = suite("deployment note");

test("it is written, or said not to be: where others are faster each time it is not taken for written", async () => {
  const { keys } = new MemoryBroker(new MemoryServer());
  await writeDeploymentNote(keys, "f", { id: "s", run: "r" });
  assert.equal(await readDeploymentNote(keys, "f"), { id: "s", run: "r" });
  assert.is((await rejection(writeDeploymentNote({ get: (key) => keys.get(key), set: () => Promise.resolve(undefined) }, "f", { id: "s", run: "r2" }))).code, "UNREACHABLE");
});

test.run();
