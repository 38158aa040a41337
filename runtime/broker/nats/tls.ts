// TLS with a server: whose certificate counts, and why there is none, in words that say what to change. A client that brings no certificate
// is refused after the handshake (TLS 1.3), which both libraries take for silence: the server is then asked once more, here.
import { connect as connectTcp, isIP, type Socket } from "node:net";
import { checkServerIdentity, connect as connectTls, type PeerCertificate } from "node:tls";
import { asError, MillraceError } from "../../event/errors.ts";
import type { ConnectOptions } from "./wire.ts";

/** The first words of a server, and a TLS handshake. */
const probeMs = 2_000;

const kinds: readonly (readonly [codes: RegExp, says: string, remedy: string])[] = [
  [/^ERR_TLS_CERT_ALTNAME_INVALID/, "The server's certificate is for another name", "Connect by a name or an address that is in it."],
  [/^(UNABLE_TO_|SELF_SIGNED|DEPTH_ZERO|CERT_|INVALID_CA|PATH_LENGTH|HOSTNAME)/, "The server's certificate is not trusted", "Name the authority that signed it with --nats-tls-ca, a PEM file."],
  [/^ERR_SSL_.*(CERTIFICATE|UNKNOWN_CA)/, "The server does not accept this client's certificate, or misses one", "Give --nats-tls-cert and --nats-tls-key, PEM files, signed by an authority that the server trusts."],
  [/^ERR_OSSL_/, "The files of --nats-tls-ca, --nats-tls-cert and --nats-tls-key cannot be used", "Give PEM files, and a key that belongs to the certificate."],
  [/^ERR_SSL_/, "There is no TLS with this server", "See that --nats names a nats-server with a tls block, and its log."],
];

/**
 * For Node's option of that name. Both libraries leave it to Node to guess the host where it is an address, which guesses "localhost": then the
 * certificate must be for one of the addresses that were named.
 */
export function identityCheck(servers: readonly string[]): (host: string, certificate: PeerCertificate) => Error | undefined {
  const hosts = servers.map((server) => hostOf(server).host), candidates = hosts.filter((host) => isIP(host) !== 0 || host === "localhost");
  return (host, certificate) => {
    if (host !== "localhost") return checkServerIdentity(host, certificate);
    const failures = candidates.map((candidate) => checkServerIdentity(candidate, certificate));
    return failures.includes(undefined) ? undefined : (failures[0] ?? checkServerIdentity(host, certificate));
  };
}

function hostOf(server: string): { readonly host: string; readonly port: number } {
  const url = server.includes("://") ? server : `nats://${server}`;
  // What is no address is the library's to refuse.
  if (!URL.canParse(url)) return { host: server, port: 4222 };
  const { hostname, port } = new URL(url);
  return { host: hostname.replace(/^\[|\]$/g, ""), port: Number(port || 4222) };
}

/** NATS_TLS, where an error of a library or of Node is about TLS. */
export function tlsFailure(where: string, error: unknown): MillraceError | undefined {
  const failure = (says: string, why: string, remedy: string) => new MillraceError("NATS_TLS", where, `${says}: ${why}`, remedy, { cause: error });
  for (let at = error as ({ code?: unknown; cause?: unknown; chainedError?: unknown } & Error) | undefined, depth = 0; at instanceof Error && depth < 4; at = (at.chainedError ?? at.cause) as typeof at, depth++) {
    const code = String(at.code ?? "");
    if (code === "SERVER_OPT_NA" || /does not support 'tls'/.test(at.message)) return failure("The server offers no TLS", "it would be plain text", "Leave --nats-tls-* and tls:// away, or give the server a tls block.");
    for (const [codes, says, remedy] of kinds) if (codes.test(code)) return failure(says, at.message, remedy);
  }
  return undefined;
}

/** What a TLS handshake with one of the servers comes to, where it fails for that. Never rejects; settles within 2 s a server. */
export async function tlsFault(servers: readonly string[], tls: ConnectOptions["tls"]): Promise<MillraceError | undefined> {
  for (const server of servers) {
    try {
      await handshake(hostOf(server), tls);
    } catch (thrown) {
      const failure = tlsFailure(server, asError(thrown));
      if (failure !== undefined) return failure;
    }
  }
  return undefined;
}

/** Greets as a client does, and waits for an answer over TLS. */
function handshake({ host, port }: ReturnType<typeof hostOf>, tls: ConnectOptions["tls"]): Promise<void> {
  return new Promise((resolve, reject) => {
    const sockets: Socket[] = [];
    const end = (error?: Error): void => {
      clearTimeout(timer);
      for (const socket of sockets) socket.destroy();
      if (error === undefined) resolve();
      else reject(error);
    };
    const timer = setTimeout(() => end(), probeMs);
    const plain = connectTcp({ host, port });
    sockets.push(plain);
    plain.once("error", end).once("data", (info) => {
      if (!/"tls_required": *true/.test(info.toString("latin1"))) return end();
      plain.removeAllListeners("data");
      try {
        const secure = connectTls({ socket: plain, ...tls, ...(isIP(host) === 0 ? { servername: host } : {}), host });
        sockets.push(secure);
        secure.once("error", end).once("data", () => end()).once("secureConnect", () => secure.write("PING\r\n"));
      } catch (thrown) {
        end(asError(thrown));
      }
    });
  });
}
