// How a node gets to NATS: over a connection that it is given, or to a nats-server that it starts for itself. Knows what each
// of them promises about a power loss (P32).
import { readFile } from "node:fs/promises";
import type { Broker } from "../broker/broker.ts";
import { connect as connectNats, type NatsOptions } from "../broker/nats-broker.ts";
import { type EmbeddedServer, startEmbedded } from "../broker/nats-server/embedded.ts";
import type { Fsync } from "../broker/nats-server/server-process.ts";
import { asError, MillraceError } from "../event/errors.ts";
import { type Duration, millis } from "../event/event.ts";

/** A NATS server with JetStream that runs already. */
export interface Connection {
  /** Such as "nats://10.0.0.1:4222", one or more. Default "nats://127.0.0.1:4222". */
  readonly servers?: string | readonly string[];
  readonly user?: string;
  readonly pass?: string;
  /** Path of a `.creds` file. */
  readonly credentials?: string;
  /** Paths of PEM files. Where it is set, a server without TLS is refused. */
  readonly tls?: { readonly ca?: string; readonly cert?: string; readonly key?: string };
  /** What the server does about a power loss: "always" (fsync before each ack), or its sync_interval. Default "2m", that of nats-server. */
  readonly sync?: "always" | Duration;
  /** In a cluster of three servers or more: how many of them hold each stream. What is there keeps what it was made with. Default 1. */
  readonly replicas?: 1 | 3;
}

/** The way to NATS that a node holds. */
export interface Access {
  readonly broker: Broker;
  /** Whether the server is this node's own. */
  readonly embedded: boolean;
  /** Where it is, for people. */
  readonly address: string;
  /** P32, in ms. */
  readonly retainMs: number;
  /** Of each stream that is made. Default 1. */
  readonly replicas?: 1 | 3;
  /** How others get to the same server: threads of this node. */
  readonly connection?: Connection;
  close(): Promise<void>;
}

/** The embedded server with lazy fsync syncs each second. */
const relaxedSyncMs = 1_000;
const defaultSyncMs = 120_000;
const restarts = { most: 5, withinMs: 60_000 } as const;

/** @throws MillraceError UNREACHABLE, NATS_AUTH, NATS_TOO_OLD, NATS_NO_JETSTREAM, CREDENTIALS_UNREADABLE, OPTION_INVALID */
export async function connectTo(connection: Connection): Promise<Access> {
  const { servers = "nats://127.0.0.1:4222", sync = defaultSyncMs, replicas = 1 } = connection;
  const syncMs = sync === "always" ? 0 : millis(sync);
  if (syncMs === undefined) throw new MillraceError("OPTION_INVALID", "nats.sync", `sync of the connection is ${JSON.stringify(sync)}`, 'Give "always", or the sync_interval of the server, such as "2m".');
  if (replicas !== 1 && replicas !== 3) throw new MillraceError("OPTION_INVALID", "nats.replicas", `replicas of the connection is ${JSON.stringify(replicas)}`, "Give 1, or 3 in a cluster of three servers or more.");
  const broker = await connectNats({ ...(await natsOptions(connection)), replicas });
  return { broker, embedded: false, address: [servers].flat().join(", "), retainMs: 2 * syncMs, replicas, connection, close: () => broker.close() };
}

/** What the adapter wants of a connection: contents instead of paths. */
export async function natsOptions({ servers = "nats://127.0.0.1:4222", user, pass, credentials, tls }: Connection): Promise<NatsOptions> {
  const pem = async (path: string | undefined): Promise<string | undefined> => (path === undefined ? undefined : (await readSecret(path)).toString());
  const [ca, cert, key] = await Promise.all([pem(tls?.ca), pem(tls?.cert), pem(tls?.key)]);
  return {
    servers,
    ...(user === undefined ? {} : { user }),
    ...(pass === undefined ? {} : { pass }),
    ...(credentials === undefined ? {} : { credentials: await readSecret(credentials) }),
    ...(tls === undefined ? {} : { tls: { ...(ca === undefined ? {} : { ca }), ...(cert === undefined ? {} : { cert }), ...(key === undefined ? {} : { key }) } }),
  };
}

async function readSecret(path: string): Promise<Buffer> {
  return await readFile(path).catch((error: Error) => {
    throw new MillraceError("CREDENTIALS_UNREADABLE", path, `The file with credentials cannot be read: ${error.message}`, "Give the path of a file that this user may read.", { cause: error });
  });
}

export interface EmbeddedAccess {
  readonly dataDir: string;
  readonly fsync: Fsync;
  /** Told what is going on while a server is fetched or an old one ended, a line a call. */
  readonly say: (line: string) => void;
  /** The server ended by itself and is started again, or (`final`) is not. */
  readonly onFault: (error: Error, final: boolean) => void;
}

/**
 * Starts the nats-server of a data folder, which is this node's from then on, and connects to it. A server that ends by itself is started
 * again under the same address: to the actors that is an outage.
 * @throws MillraceError what startEmbedded and connect throw
 */
export async function startOwn({ dataDir, fsync, say, onFault }: EmbeddedAccess): Promise<Access> {
  let server = await startEmbedded({ dataDir, fsync, say }), closed = false, restarting: Promise<void> | undefined;
  const ends: number[] = [];
  const watch = (of: EmbeddedServer): void => {
    void of.exited.then((how) => {
      if (closed) return;
      const now = performance.now(), error = new MillraceError("NATS_SERVER_ENDED", of.servers, `The embedded nats-server ended (${how})`, `It is started again; its log is ${dataDir}/nats/server.log.`);
      ends.push(now);
      const tooOften = ends.filter((at) => at > now - restarts.withinMs).length > restarts.most;
      onFault(error, tooOften);
      if (!tooOften) restarting = again(of);
    });
  };
  const again = async (old: EmbeddedServer): Promise<void> => {
    try {
      await old.stop();
      if (closed) return;
      server = await startEmbedded({ dataDir, fsync, say, port: old.port, credentials: { user: old.user, pass: old.pass } });
      watch(server);
    } catch (error) {
      onFault(asError(error), true);
    }
  };
  watch(server);
  try {
    const broker = await connectNats({ servers: server.servers, user: server.user, pass: server.pass });
    return {
      broker, embedded: true, address: server.servers, retainMs: fsync === "always" ? 0 : 2 * relaxedSyncMs, connection: { servers: server.servers, user: server.user, pass: server.pass },
      async close() {
        closed = true;
        await broker.close();
        await restarting;
        await server.stop();
      },
    };
  } catch (error) {
    closed = true;
    await server.stop();
    throw error;
  }
}
