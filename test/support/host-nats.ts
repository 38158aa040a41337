// A nats-server on a host of its own (network-hosts.ts), with the project's settings and one user.
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { findOrObtain } from "../../runtime/broker/nats-server/obtain.ts";
import { type NetworkHost, startOn } from "./network-hosts.ts";
import { eventually } from "./waiting.ts";

export interface HostNats extends AsyncDisposable {
  readonly servers: string;
  readonly user: string;
  readonly pass: string;
}

const port = 4222;

/** `folder`: its configuration and store. Use it with `await using`. */
export async function startHostNats(host: NetworkHost, folder: string, { user, pass }: { readonly user: string; readonly pass: string }): Promise<HostNats> {
  const { path } = await findOrObtain(), conf = join(folder, "nats.conf"), text = await readFile(fileURLToPath(new URL("../../nats.conf", import.meta.url)), "utf8");
  await writeFile(conf, `${text.replace(/^MILLRACE_LISTEN:.*$/m, `MILLRACE_LISTEN: "${host.address}:${port}"`).replace(/^MILLRACE_STORE:.*$/m, `MILLRACE_STORE: "${join(folder, "store")}"`)}\nauthorization { user: "${user}", password: "${pass}" }\n`);
  const server = startOn(host, [path, "-c", conf]);
  await eventually("nats-server is ready", () => {
    if (server.child.exitCode !== null) throw new Error(server.output);
    return server.output.includes("Server is ready");
  }, 30_000);
  return { servers: `nats://${host.address}:${port}`, user, pass, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() };
}
