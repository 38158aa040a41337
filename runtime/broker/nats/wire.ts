// The seam between the adapter and a client library. There are two: they look alike, and differ in how their errors are told apart.
import type { PeerCertificate } from "node:tls";
import { MillraceError } from "../../event/errors.ts";
import type { Refusal } from "./permission.ts";

export interface ConnectOptions {
  /** Such as "nats://10.0.0.1:4222", one or more. IPs spare a look-up. */
  readonly servers: string | readonly string[];
  readonly user?: string;
  readonly pass?: string;
  /** Content of a `.creds` file. */
  readonly credentials?: Uint8Array;
  /** Seed of an nkey ("SU…"). */
  readonly nkeySeed?: Uint8Array;
  /** Content of PEM files. Where it is set, a server without TLS is refused. */
  readonly tls?: { readonly ca?: string; readonly cert?: string; readonly key?: string };
  /** Name of the connection, as the server shows it. Default "millrace". */
  readonly name?: string;
  /** Beginning of the subjects on which answers come. Default "_INBOX"; each role its own where permissions bind it (nats-roles.conf). */
  readonly inbox?: string;
  /** Told, once for each subject, what the server does not let this user do; NATS_PERMISSION. */
  readonly refused?: (error: MillraceError) => void;
  /** The client library. Default: MILLRACE_NATS_CLIENT, else "nats". */
  readonly client?: ClientName;
}

/** A message as it came. `data` is a view of the socket's buffer: copy what is kept. */
export interface Message {
  readonly reply?: string;
  readonly subject: string;
  readonly data: Uint8Array;
  readonly headers?: { readonly code: number; readonly description: string; get(name: string): string };
  /** Bytes as the server counts them for a pull. */
  size(): number;
}

/** A connection of a library, as far as both have it alike. */
export interface Wire {
  readonly info?: { readonly version: string; readonly max_payload: number; readonly jetstream?: boolean };
  getServer(): string;
  /** Of `headers` only encode() is called. */
  publish(subject: string, data: Uint8Array, options?: { reply?: string; headers?: object }): void;
  /** Messages have size(), which the declared types leave out. */
  subscribe(subject: string, options?: { callback?: (refused: Error | null, message: Omit<Message, "size">) => void }): { unsubscribe(): void };
  request(subject: string, data: Uint8Array, options?: { timeout: number }): Promise<unknown>;
  /** What happens to it; ends when it is closed. */
  status(): AsyncIterable<{ readonly type: string }>;
  close(): Promise<void>;
}

/** What both libraries are told; the names are theirs. */
export interface WireSettings {
  readonly servers: string[];
  readonly name: string;
  readonly inboxPrefix: string;
  readonly timeout: number;
  readonly maxReconnectAttempts: number;
  readonly ignoreAuthErrorAbort: boolean;
  readonly reconnectDelayHandler: () => number;
  readonly pingInterval: number;
  readonly maxPingOut: number;
  readonly noAsyncTraces: boolean;
  readonly resolve: boolean;
  readonly user?: string;
  readonly pass?: string;
  /** As Node's own options of these names. */
  readonly tls?: { ca?: string; cert?: string; key?: string; checkServerIdentity: (host: string, certificate: PeerCertificate) => Error | undefined };
}

/** Why a library failed, as far as the adapter must know. */
export type WireFailure = "auth" | "nobody-listens" | "timeout" | "other";

export interface ClientLibrary {
  /** @throws what the library throws, also where credentials or seed are none */
  connect(settings: WireSettings, secret: Pick<ConnectOptions, "credentials" | "nkeySeed">): Promise<Wire>;
  failureOf(error: Error): WireFailure;
  /** What the server refused for want of a permission, where an error or a status says that it did. */
  refusalOf(of: object): Refusal | undefined;
}

/** "nats": the package nats 2.29, which gets no more releases. "natsio": its successor, @nats-io/transport-node. */
export type ClientName = "nats" | "natsio";

/**
 * The library of that name, or of MILLRACE_NATS_CLIENT, or "nats". Only the one that is chosen is loaded.
 * @throws MillraceError OPTION_INVALID
 */
export async function loadLibrary(name: string = process.env["MILLRACE_NATS_CLIENT"] || "nats"): Promise<ClientLibrary> {
  if (name === "nats") return (await import("./nats-wire.ts")).natsLibrary;
  if (name === "natsio") return (await import("../natsio/natsio-wire.ts")).natsioLibrary;
  throw new MillraceError("OPTION_INVALID", "MILLRACE_NATS_CLIENT", `There is no client library "${name}"`, 'Give "nats" (the default) or "natsio".');
}
