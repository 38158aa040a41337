// A nats-server for programs that want one without a node.
import { startEmbedded } from "../broker/nats-server/embedded.ts";
import type { Fsync } from "../broker/nats-server/server-process.ts";
import type { Connection } from "./connection.ts";

export interface BrokerOptions {
  /** Where it stores; one at a time. Default ".millrace". */
  readonly dataDir?: string;
  /** "always" syncs before each ack, "relaxed" each second. Default "always". */
  readonly fsync?: Fsync;
}

/**
 * Starts a nats-server, found or fetched, on a free loopback port with credentials of its own. Dispose of it to end it; it ends with the process, too.
 * @throws MillraceError DATA_FOLDER_BUSY, DATA_FOLDER_INVALID, NATS_SERVER_MISSING and other NATS_SERVER_…
 */
export async function startBroker({ dataDir = ".millrace", fsync = "always" }: BrokerOptions = {}): Promise<Connection & AsyncDisposable> {
  const { servers, user, pass, stop } = await startEmbedded({ dataDir, fsync });
  return { servers, user, pass, sync: fsync === "always" ? "always" : "1s", [Symbol.asyncDispose]: stop };
}
