// Three nats-servers on this machine that hold each stream three times. Clients are not told of the others: the lines to each may go
// through a proxy.
import { readFile, writeFile } from "node:fs/promises";
import { createServer, type AddressInfo } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { StreamSpec } from "../../runtime/broker/broker.ts";
import { connect } from "../../runtime/broker/nats-broker.ts";
import { startNatsServer, type TestServer } from "./nats-server.ts";
import { temporaryFolder } from "./temporary-folder.ts";
import { eventually } from "./waiting.ts";

export interface TestCluster extends AsyncDisposable {
  /** Each can be killed, paused and restarted by itself. */
  readonly servers: readonly TestServer[];
  readonly user: string;
  readonly pass: string;
}

const readyMs = 60_000;
const credentials = { user: "cluster", pass: "cluster" } as const;

/** Resolves when a stream with three replicas can be made. Use it with `await using`. */
export async function startNatsCluster(fsync: "always" | "relaxed" = "relaxed"): Promise<TestCluster> {
  const folder = await temporaryFolder(), ports = await freePorts(3), servers: TestServer[] = [];
  const stop = async () => {
    await Promise.all(servers.map((server) => server[Symbol.asyncDispose]()));
    await folder[Symbol.asyncDispose]();
  };
  try {
    const conf = await readFile(fileURLToPath(new URL("../../nats.conf", import.meta.url)), "utf8");
    const routes = ports.map((port) => `"nats://127.0.0.1:${port}"`).join(", ");
    await Promise.all(ports.map(async (port, i) => {
      const confFile = join(folder.path, `server-${i}.conf`);
      await writeFile(confFile, `${conf}\nserver_name: s${i}\ncluster { name: test, listen: "127.0.0.1:${port}", no_advertise: true, routes: [${routes}] }\n`);
      servers[i] = await startNatsServer({ fsync, confFile, credentials });
    }));
    const broker = await eventually("the cluster has a leader", () => connect({ servers: servers.map((server) => server.servers), ...credentials }), readyMs);
    try {
      const spec: StreamSpec = { name: "ready", subject: "ready", replicas: 3 };
      await eventually("the cluster makes a stream with three replicas", async () => {
        await broker.create(spec);
        return true;
      }, readyMs);
      await broker.remove(spec.name);
    } finally {
      await broker.close();
    }
  } catch (error) {
    await stop();
    throw error;
  }
  return { servers, ...credentials, [Symbol.asyncDispose]: stop };
}

async function freePorts(count: number): Promise<readonly number[]> {
  const taken = Array.from({ length: count }, () => createServer());
  const ports = await Promise.all(taken.map((server) => new Promise<number>((given) => server.listen(0, "127.0.0.1", () => given((server.address() as AddressInfo).port)))));
  await Promise.all(taken.map((server) => new Promise((closed) => server.close(closed))));
  return ports;
}
