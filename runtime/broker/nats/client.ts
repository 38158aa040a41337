// The connection to NATS, in as few words as the rest of the adapter needs, over the client library that was chosen.
import { asError, MillraceError } from "../../event/errors.ts";
import { nobodyListens, unreachable } from "../failures.ts";
import { notPermitted, type Refusal } from "./permission.ts";
import { reconnectPace } from "./reconnect-pace.ts";
import { identityCheck, tlsFailure, tlsFault } from "./tls.ts";
import { type ClientLibrary, type ConnectOptions, loadLibrary, type Message, type Wire, type WireSettings } from "./wire.ts";

const CONNECT_TIMEOUT_MS = 5_000;
/** A server that has not greeted by then is asked whether it wants another certificate. */
const DOUBT_MS = 1_000;

interface Outgoing {
  readonly subject: string;
  readonly data: Uint8Array;
  readonly reply: string;
  readonly headers: Uint8Array | undefined;
}

export class Client {
  readonly #connection: Wire;
  readonly #library: ClientLibrary;
  readonly #requests = new Set<(why: Error) => void>();
  readonly #inbox: string;
  #connected = true;
  #closed = false;
  #inboxes = 0;
  /** What goes onto the wire at the end of this round of the event loop. */
  #outgoing: Outgoing[] = [];
  /** Called on each change of `connected`. */
  onChange: (connected: boolean) => void = () => {};
  /** Called for each publish and each subscription that the server refuses for want of a permission. */
  onRefusal: (refusal: Refusal) => void = () => {};

  /** @throws UNREACHABLE, NATS_AUTH, NATS_TLS, OPTION_INVALID (no such client library) */
  static async connect(options: ConnectOptions): Promise<Client> {
    const servers = typeof options.servers === "string" ? [options.servers] : [...options.servers];
    const { user, pass, tls, credentials, nkeySeed } = options, library = await loadLibrary(options.client);
    const settings: WireSettings = {
      servers,
      name: options.name ?? "millrace",
      inboxPrefix: options.inbox ?? "_INBOX",
      timeout: CONNECT_TIMEOUT_MS,
      // The client gives up for good after ten attempts otherwise, and after two refusals of the credentials.
      maxReconnectAttempts: -1,
      ignoreAuthErrorAbort: true,
      reconnectDelayHandler: reconnectPace(servers.length),
      // A half-open connection is noticed in 20 to 30 s, not in minutes. Appends have time-outs of their own.
      pingInterval: 10_000,
      maxPingOut: 2,
      // Without it each request captures two stacks.
      noAsyncTraces: true,
      // nats 2.29 asks DNS without the hosts file; only TLS needs the name that it keeps by this.
      resolve: tls !== undefined,
      ...(user === undefined ? {} : { user }),
      ...(pass === undefined ? {} : { pass }),
      ...(tls === undefined ? {} : { tls: { ...tls, checkServerIdentity: identityCheck(servers) } }),
    };
    const secret = { ...(credentials === undefined ? {} : { credentials }), ...(nkeySeed === undefined ? {} : { nkeySeed }) };
    try {
      return new Client(await orTlsFault(() => library.connect(settings, secret), servers, tls), library, settings.inboxPrefix);
    } catch (thrown) {
      const where = servers.join(", "), overTls = thrown instanceof MillraceError ? thrown : tlsFailure(where, thrown);
      if (overTls !== undefined) throw overTls;
      if (library.failureOf(asError(thrown)) === "auth") {
        throw new MillraceError("NATS_AUTH", where, "The server refuses these credentials", "Give --nats-user and its password (MILLRACE_NATS_PASSWORD or --nats-password-file), --nats-creds or --nats-nkey, of an account with JetStream.", { cause: thrown });
      }
      throw new MillraceError("UNREACHABLE", where, `No NATS server can be reached: ${asError(thrown).message}`, "Check the address (nats://host:port, several with commas), and that a nats-server listens there.", { cause: thrown });
    }
  }

  private constructor(connection: Wire, library: ClientLibrary, inbox: string) {
    this.#connection = connection;
    this.#library = library;
    this.#inbox = `${inbox}.${crypto.randomUUID().replaceAll("-", "").slice(0, 20)}`;
    void this.#watch();
  }

  get connected(): boolean {
    return this.#connected;
  }

  get server(): { readonly version: string; readonly maxPayload: number; readonly jetstream: boolean } {
    const info = this.#connection.info;
    return { version: info?.version ?? "0.0.0", maxPayload: info?.max_payload ?? 1024 * 1024, jetstream: info?.jetstream === true };
  }

  get address(): string {
    return this.#connection.getServer();
  }

  /** A subject of one's own, for answers. */
  newInbox(): string {
    return `${this.#inbox}.${++this.#inboxes}`;
  }

  /**
   * Puts a message on the wire, in order, within this round of the event loop. `headers` is the finished header block. `data` must not be changed before it is sent. Nothing is
   * published while disconnected: the client would keep it without bound, and drop it or send it much later.
   */
  publish(subject: string, data: Uint8Array, reply: string, headers?: Uint8Array): void {
    if (!this.#connected) throw unreachable(subject, "not connected");
    if (this.#outgoing.push({ subject, data, reply, headers }) === 1) setImmediate(() => this.#flush());
  }

  // What several actors send in one round goes out in one write to the socket, which costs more than what it writes.
  #flush(): void {
    const outgoing = this.#outgoing;
    this.#outgoing = [];
    // Of a header object the library only calls encode(); its own class rebuilds the block on each call.
    for (const { subject, data, reply, headers } of outgoing) this.#connection.publish(subject, data, headers === undefined ? { reply } : { reply, headers: { encode: () => headers } });
  }

  /** Calls for each message; returns what ends it. Goes on after a reconnect. */
  subscribe(subject: string, call: (message: Message) => void): () => void {
    const subscription = this.#connection.subscribe(subject, {
      callback: (refused, message) => {
        if (!refused) call(message as Message);
      },
    });
    return () => {
      if (!this.#closed) subscription.unsubscribe();
    };
  }

  /** One request and its answer. Rejects with UNREACHABLE or NOT_FOUND, at once when the connection is lost. */
  request(subject: string, data: Uint8Array, timeoutMs: number): Promise<Message> {
    if (!this.#connected) return Promise.reject(unreachable(subject, "not connected"));
    // A question never overtakes what was published before it.
    this.#flush();
    return new Promise((resolve, reject) => {
      this.#requests.add(reject);
      this.#connection.request(subject, data, { timeout: timeoutMs })
        .then((message) => resolve(message as Message), (thrown) => reject(this.#requestError(subject, timeoutMs, asError(thrown))))
        .finally(() => this.#requests.delete(reject));
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#change(false);
    await this.#connection.close();
  }

  async #watch(): Promise<void> {
    for await (const status of this.#connection.status()) {
      if (status.type === "disconnect") this.#change(false);
      else if (status.type === "reconnect" && !this.#closed) this.#change(true);
      else if (status.type === "error") {
        const refusal = this.#library.refusalOf(status);
        if (refusal !== undefined) this.onRefusal(refusal);
      }
    }
    this.#change(false);
  }

  #change(connected: boolean): void {
    if (connected === this.#connected) return;
    this.#connected = connected;
    if (!connected) {
      this.#outgoing = [];
      const lost = [...this.#requests];
      this.#requests.clear();
      for (const reject of lost) reject(unreachable("nats", "the connection was lost"));
    }
    this.onChange(connected);
  }

  #requestError(subject: string, timeoutMs: number, error: Error): Error {
    const failure = this.#library.failureOf(error), refusal = this.#library.refusalOf(error);
    if (refusal !== undefined) return notPermitted(refusal, error);
    if (failure === "nobody-listens") return nobodyListens(subject);
    return unreachable(subject, failure === "timeout" ? `no answer within ${timeoutMs} ms` : error.message, error);
  }
}

/** Connects; a handshake that fails for the certificate of this client is told at once, not as a time-out. */
async function orTlsFault(connect: () => Promise<Wire>, servers: readonly string[], tls: ConnectOptions["tls"]): Promise<Wire> {
  const connecting = connect();
  let timer: NodeJS.Timeout | undefined;
  const doubt = new Promise<"doubt">((resolve) => { timer = setTimeout(resolve, DOUBT_MS, "doubt"); });
  const first = await Promise.race([connecting, doubt]).finally(() => clearTimeout(timer));
  if (first !== "doubt") return first;
  const fault = await tlsFault(servers, tls);
  if (fault === undefined) return await connecting;
  connecting.then((wire) => wire.close(), () => {});
  throw fault;
}
