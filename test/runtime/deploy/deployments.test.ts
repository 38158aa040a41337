import { suite } from "uvu";
import * as assert from "uvu/assert";
import { readDeployment, writeDeployment } from "../../../runtime/deploy/deployments.ts";
import { MemoryBroker } from "../../../runtime/testing/memory-broker.ts";
import { MemoryServer } from "../../../runtime/testing/memory-server.ts";
import { rejection } from "../../support/rejection.ts";

const test = suite("deployments");

test("where no node takes deployed flows, the flow that was asked for is named", async () => {
  const broker = new MemoryBroker(new MemoryServer());
  for (const asked of [readDeployment(broker, "clicks"), writeDeployment(broker, { kind: "undeployed", name: "clicks", hash: "c".repeat(64), at: 1 }, 0)]) {
    const { code, where } = await rejection(asked);
    assert.equal([code, where], ["DEPLOY_NOWHERE", "clicks"]);
  }
});

test.run();
