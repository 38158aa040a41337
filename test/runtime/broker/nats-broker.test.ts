import { suite } from "uvu";
import * as assert from "uvu/assert";
import { connect } from "../../../runtime/broker/nats-broker.ts";
import { brokerContract } from "../../contracts/broker-contract.ts";
import { sharedNatsServer } from "../../support/nats-server.ts";
import { startTcpProxy } from "../../support/tcp-proxy.ts";

const test = suite("nats broker: its server");
const nats = sharedNatsServer(test.after);

brokerContract("nats broker: contract", async () => {
  const { user, pass, port } = await nats();
  const proxy = await startTcpProxy(port);
  const open = (at: number) => connect({ servers: `nats://127.0.0.1:${at}`, user, pass });
  const broker = await open(proxy.port);
  return {
    broker,
    connect: () => open(port),
    cut: async () => proxy.cut(),
    mend: async () => proxy.mend(),
    async [Symbol.asyncDispose]() {
      await broker.close();
      await proxy[Symbol.asyncDispose]();
      const cleaner = await open(port);
      await Promise.all((await cleaner.list("")).map((name) => cleaner.remove(name)));
      await cleaner.close();
    },
  };
});

test("x", () => assert.ok(1));
test.run();
