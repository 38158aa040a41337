// How a node gets to NATS: over a connection that it is given, or to a nats-server that it starts for itself. Knows what each
// of them promises about a power loss (P32).
import { readFile, statfs } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import type { Broker } from "../broker/broker.ts";
import { notWriting } from "../broker/failures.ts";
import { connect as connectNats, type NatsOptions } from "../broker/nats-broker.ts";
import { type EmbeddedServer, startEmbedded } from "../broker/nats-server/embedded.ts";
import type { Fsync } from "../broker/nats-server/server-process.ts";
import { asError, MillraceError } from "../event/errors.ts";
import { type Duration, millis } from "../event/event.ts";
import { StuckServer } from "./stuck-server.ts";

/** A NATS server with JetStream that runs already. */
export interface Connection {
  /** Such as "nats://10.0.0.1:4222", one or more. Default "nats://127.0.0.1:4222". */
  readonly servers?: string | readonly string[];
  readonly user?: string;
  readonly pass?: string;
  /** Path of a file with the password and nothing else, in place of `pass`. */
  readonly passFile?: string;
  /** Path of a `.creds` file. */
  readonly credentials?: string;
  /** Path of a file with the seed of an nkey ("SU…"). */
  readonly nkey?: string;
  /** Beginning of the subjects on which answers come, where permissions bind it (nats-roles.conf). Default "_INBOX". */
  readonly inbox?: string;
  /** Paths of PEM files: the authority that signed the server's certificate, certificate and key of this client. Where it is set, a server without TLS is refused. */
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
const toldAgainMs = 60_000;
const restarts = { most: 5, withinMs: 60_000 } as const;
/** A server that was ended since it wrote nothing more is tried to be started so often, a second longer apart each time. */
const renewals = 5;

/**
 * `told`: once for each subject, what the server does not let this user do (NATS_PERMISSION); once a minute, that it writes nothing more (NATS_NOT_WRITING).
 * @throws MillraceError UNREACHABLE, NATS_AUTH, NATS_TLS, NATS_PERMISSION, NATS_TOO_OLD, NATS_NO_JETSTREAM, CREDENTIALS_UNREADABLE, OPTION_INVALID
 */
export async function connectTo(connection: Connection, told: (error: MillraceError) => void = () => {}): Promise<Access> {
  const { servers = "nats://127.0.0.1:4222", sync = defaultSyncMs, replicas = 1 } = connection;
  const syncMs = sync === "always" ? 0 : millis(sync);
  if (syncMs === undefined) throw new MillraceError("OPTION_INVALID", "nats.sync", `sync of the connection is ${JSON.stringify(sync)}`, 'Give "always", or the sync_interval of the server, such as "2m".');
  if (replicas !== 1 && replicas !== 3) throw new MillraceError("OPTION_INVALID", "nats.replicas", `replicas of the connection is ${JSON.stringify(replicas)}`, "Give 1, or 3 in a cluster of three servers or more.");
  let toldAt = -Infinity;
  const mute = (streams: readonly string[]): void => {
    if (performance.now() - toldAt < toldAgainMs) return;
    toldAt = performance.now();
    told(notWriting(streams));
  };
  const broker = await connectNats({ ...(await natsOptions(connection)), replicas, refused: told, mute });
  return { broker, embedded: false, address: [servers].flat().map((url) => withoutUser(url).server).join(", "), retainMs: 2 * syncMs, replicas, connection, close: () => broker.close() };
}

/** What the adapter wants of a connection: contents instead of paths. */
export async function natsOptions({ servers = "nats://127.0.0.1:4222", passFile, credentials, nkey, inbox, tls, ...given }: Connection): Promise<NatsOptions> {
  // Neither library takes them from there, and an address is shown to people.
  const urls = [servers].flat().map(withoutUser), named = urls.find((url) => url.user !== undefined), user = given.user ?? named?.user;
  const pass = given.pass ?? (passFile === undefined ? named?.pass : (await readSecret(passFile)).toString("utf8").replace(/\r?\n$/, ""));
  const seed = nkey === undefined ? undefined : Buffer.from((await readSecret(nkey)).toString("latin1").trim());
  if (inbox !== undefined && !inboxForm.test(inbox)) throw new MillraceError("OPTION_INVALID", "nats.inbox", `The inbox of the connection is ${JSON.stringify(inbox)}`, "Give the beginning of a subject, such as _INBOX_viewer: letters, digits, _ and -, in parts with dots between.");
  const creds = credentials === undefined ? undefined : await readSecret(credentials);
  if (creds !== undefined && !credsForm.test(creds.toString("latin1"))) throw new MillraceError("CREDENTIALS_UNREADABLE", credentials as string, "The file holds no credentials of a user", "Give a .creds file as nsc writes it: a JWT of a user, and its seed.");
  if (seed !== undefined && !seedForm.test(seed.toString("latin1"))) throw new MillraceError("CREDENTIALS_UNREADABLE", nkey as string, "The file holds no seed of a user's nkey", "Give a file with nothing but the seed, which begins with SU.");
  const pem = async (path: string | undefined): Promise<string | undefined> => (path === undefined ? undefined : (await readSecret(path)).toString());
  const [ca, cert, key] = await Promise.all([pem(tls?.ca), pem(tls?.cert), pem(tls?.key)]);
  return {
    servers: typeof servers === "string" ? (urls[0] as { server: string }).server : urls.map(({ server }) => server),
    ...(user === undefined ? {} : { user }),
    ...(pass === undefined ? {} : { pass }),
    ...(creds === undefined ? {} : { credentials: creds }),
    ...(seed === undefined ? {} : { nkeySeed: seed }),
    ...(inbox === undefined ? {} : { inbox }),
    ...(tls === undefined ? {} : { tls: { ...(ca === undefined ? {} : { ca }), ...(cert === undefined ? {} : { cert }), ...(key === undefined ? {} : { key }) } }),
  };
}

const inboxForm = /^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$/;
const credsForm = /-----BEGIN NATS USER JWT-----[\s\S]*-----BEGIN USER NKEY SEED-----\s*SU[A-Z2-7]{56}\s/;
const seedForm = /^SU[A-Z2-7]{56}$/;

/** An address, and who is named in it: "nats://user:password@host:4222". */
export function withoutUser(server: string): { readonly server: string; readonly user?: string; readonly pass?: string } {
  const [whole, scheme = "", user = "", pass] = /^([a-z]+:\/\/)?([^:@/]*)(?::([^/]*))?@/i.exec(server) ?? [];
  if (whole === undefined) return { server };
  return { server: scheme + server.slice(whole.length), user: plain(user), ...(pass === undefined ? {} : { pass: plain(pass) }) };
}

/** Without escapes; as it is where it has none that are right. */
function plain(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
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
  const ends: number[] = [], renewed = new Set<EmbeddedServer>();
  const watch = (of: EmbeddedServer): void => {
    void of.exited.then((how) => {
      if (closed || renewed.has(of)) return;
      const now = performance.now(), error = new MillraceError("NATS_SERVER_ENDED", of.servers, `The embedded nats-server ended (${how})`, `It is started again; its log is ${dataDir}/nats/server.log.`);
      ends.push(now);
      const tooOften = ends.filter((at) => at > now - restarts.withinMs).length > restarts.most;
      onFault(error, tooOften);
      if (!tooOften) restarting = again(of);
    });
  };
  let starting = false;
  const again = async (old: EmbeddedServer, tries = 1): Promise<void> => {
    starting = true;
    try {
      await old.stop();
      for (let failed = 1; !closed; failed++) {
        try {
          server = await startEmbedded({ dataDir, fsync, say, port: old.port, credentials: { user: old.user, pass: old.pass } });
          return watch(server);
        } catch (error) {
          if (failed >= tries) throw error;
          onFault(asError(error), false);
          await delay(failed * 1_000);
        }
      }
    } catch (error) {
      onFault(asError(error), true);
    } finally {
      starting = false;
    }
  };
  watch(server);
  const stuck = new StuckServer({
    now: () => performance.now(), said: (error) => onFault(error, false),
    free: async () => { const { bavail, bsize } = await statfs(dataDir); return bavail * bsize; },
    restart: async () => {
      // One that has ended by itself is being started again.
      if (closed || starting) return;
      renewed.add(server);
      await (restarting = again(server, renewals));
    },
  });
  try {
    const broker = await connectNats({ servers: server.servers, user: server.user, pass: server.pass, mute: (streams) => void stuck.found(streams) });
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
