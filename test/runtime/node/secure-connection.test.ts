// Ways to a nats-server that lets in only whom it knows: TLS with certificates of clients, nkeys, credentials files, passwords in files; over
// both client libraries. What is wrong is told at once, by a code, with what to change, and never with the secret.
// test deadline: 180 s
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { MillraceError } from "../../../runtime/event/errors.ts";
import { connect } from "../../../runtime/broker/nats-broker.ts";
import type { ClientName } from "../../../runtime/broker/nats/wire.ts";
import { type Connection, connectTo, natsOptions } from "../../../runtime/node/connection.ts";
import { authority, certificate } from "../../support/certificates.ts";
import { startConfigured } from "../../support/nats-configured.ts";
import { tenant, userKey } from "../../support/nats-jwt.ts";
import { rejection } from "../../support/rejection.ts";
import { temporaryFolder, type TemporaryFolder } from "../../support/temporary-folder.ts";
import { within } from "../../support/waiting.ts";

const test = suite("secure connection");
const clients: readonly ClientName[] = ["nats", "natsio"];
/** The libraries themselves wait for 5 s, then say "timeout". */
const atOnceMs = 4_500;
let folder: TemporaryFolder;
test.before(async () => { folder = await temporaryFolder(); });
test.after(async () => { await folder[Symbol.asyncDispose](); });

const path = (name: string): string => join(folder.path, name);
const opened = async (connection: Connection, client: ClientName): Promise<string> => {
  const broker = await connect({ ...(await natsOptions(connection)), client });
  await broker.keys.get("nodes");
  await broker.close();
  return broker.version;
};
const refused = async (connection: Connection, client: ClientName): Promise<MillraceError> => await within(atOnceMs, "it is refused", rejection(opened(connection, client)));

for (const series of [undefined, "2.10"]) {
  test(`nats-server ${series ?? "newest"}: TLS with certificates of clients; a wrong authority, none, no certificate, a stranger's, another's key and plain text are told apart`, async () => {
    const ca = authority("ca"), other = authority("other"), localhost = ["127.0.0.1"];
    const certificates = { server: certificate("server", localhost, ca, "ca"), elsewhere: certificate("elsewhere", ["nats.example.org", "10.0.0.1", "localhost"], ca, "ca"), client: certificate("client", ["client"], ca, "ca"), stranger: certificate("stranger", ["stranger"], other, "other"), ca, other };
    const files = Object.fromEntries(Object.entries(certificates).flatMap(([name, { cert, key }]) => [[`${name}.pem`, cert], [`${name}-key.pem`, key]]));
    for (const [name, text] of Object.entries(files)) await writeFile(path(name), text);
    await writeFile(path("nonsense.pem"), "no certificate");
    const pem = (name: string) => path(`${name}.pem`), of = (name: string) => ({ cert: pem(name), key: pem(`${name}-key`) }), tls = (server: string, verify: boolean) => `tls { cert_file: "${server}.pem", key_file: "${server}-key.pem", ca_file: "ca.pem", verify: ${verify} }`;
    const start = (text: string) => startConfigured(text, { files, ...(series === undefined ? {} : { series }) });
    await using strict = await start(tls("server", true));
    await using misnamed = await start(tls("elsewhere", false));
    await using plain = await start("");
    for (const client of clients) {
      // By an address, and by one of several; a certificate counts for the name by which the server is reached.
      assert.is(await opened({ servers: strict.servers, tls: { ca: pem("ca"), ...of("client") } }, client), strict.version);
      assert.is(await opened({ servers: ["nats://127.0.0.1:1", strict.servers], tls: { ca: pem("ca"), ...of("client") } }, client), strict.version);
      assert.is(await opened({ servers: misnamed.servers.replace("127.0.0.1", "localhost"), tls: { ca: pem("ca") } }, client), misnamed.version);
      for (const [what, servers, its, says, remedy] of [
        ["a wrong authority", strict.servers, { ca: pem("other"), ...of("client") }, /server's certificate is not trusted/, /--nats-tls-ca/],
        ["no authority", strict.servers, of("client"), /server's certificate is not trusted/, /--nats-tls-ca/],
        ["no certificate of the client", strict.servers, { ca: pem("ca") }, /does not accept this client's certificate, or misses one/, /--nats-tls-cert and --nats-tls-key/],
        ["a certificate that another authority signed", strict.servers, { ca: pem("ca"), ...of("stranger") }, /does not accept this client's certificate/, /signed by an authority that the server trusts/],
        ["a key of another certificate", strict.servers, { ca: pem("ca"), cert: pem("client"), key: pem("stranger-key") }, /cannot be used/, /a key that belongs to the certificate/],
        ["a file that is no certificate", strict.servers, { ca: pem("ca"), cert: pem("nonsense"), key: pem("client-key") }, /cannot be used/, /PEM/],
        ["another name", misnamed.servers, { ca: pem("ca") }, /is for another name/, /name or an address that is in it/],
        ["plain text", plain.servers, { ca: pem("ca") }, /offers no TLS/, /tls block/],
      ] as const) {
        const error = await refused({ servers, tls: its }, client);
        assert.is(error.code, "NATS_TLS", `${client}, ${what}: ${error.message}`);
        assert.match(error.message, says, `${client}, ${what}`);
        assert.match(error.remedy, remedy, `${client}, ${what}`);
      }
      assert.is((await refused({ servers: strict.servers }, client)).code, "NATS_TLS", `${client}: nothing is said of TLS, and the server insists on it`);
    }
    assert.is((await rejection(connectTo({ servers: strict.servers, tls: { ca: path("none.pem") } }))).code, "CREDENTIALS_UNREADABLE");
  });
}

test("an nkey: its seed from a file; another key, and a file that holds none, are refused without showing it", async () => {
  const mine = userKey(), other = userKey();
  await writeFile(path("mine.nk"), `${mine.seed}\n`);
  await writeFile(path("other.nk"), other.seed);
  await writeFile(path("half.nk"), mine.seed.slice(0, 30));
  await using server = await startConfigured(`authorization { users: [{ nkey: ${mine.publicKey} }] }`);
  for (const client of clients) {
    assert.is(await opened({ servers: server.servers, nkey: path("mine.nk") }, client), server.version);
    for (const [nkey, code] of [["other.nk", "NATS_AUTH"], ["half.nk", "CREDENTIALS_UNREADABLE"], ["none.nk", "CREDENTIALS_UNREADABLE"]] as const) {
      const error = await refused({ servers: server.servers, nkey: path(nkey) }, client);
      assert.is(error.code, code);
      for (const { seed } of [mine, other]) assert.not.match(shown(error), seed.slice(0, 30));
    }
  }
});

test("a credentials file; of another operator, and one that holds none, are refused without showing it", async () => {
  const mine = tenant(), other = tenant();
  await writeFile(path("mine.creds"), mine.creds);
  await writeFile(path("other.creds"), other.creds);
  await writeFile(path("empty.creds"), "");
  await using server = await startConfigured(mine.conf);
  for (const client of clients) {
    assert.is(await opened({ servers: server.servers, credentials: path("mine.creds") }, client), server.version);
    for (const [credentials, code] of [["other.creds", "NATS_AUTH"], ["empty.creds", "CREDENTIALS_UNREADABLE"], ["none.creds", "CREDENTIALS_UNREADABLE"]] as const) {
      const error = await refused({ servers: server.servers, credentials: path(credentials) }, client);
      assert.is(error.code, code, `${client} ${credentials}: ${error.message}`);
      for (const { seed } of [mine, other]) assert.not.match(shown(error), seed);
    }
  }
});

test("a password: given, in a file, in the address; none of them is in an error or in the address that is shown", async () => {
  const secret = "pw-öäü:/@ 7f3c9e", escaped = encodeURIComponent(secret);
  await writeFile(path("password"), `${secret}\n`);
  await using server = await startConfigured(`authorization { user: someone, password: "${secret}" }`);
  const address = server.servers.replace("//", `//someone:${escaped}@`);
  for (const client of clients) for (const connection of [{ servers: server.servers, user: "someone", pass: secret }, { servers: server.servers, user: "someone", passFile: path("password") }, { servers: address }, { servers: [address] }]) {
    assert.is(await opened(connection, client), server.version);
  }
  const access = await connectTo({ servers: [address] });
  assert.is(access.address, server.servers);
  await access.close();
  for (const client of clients) {
    const error = await refused({ servers: server.servers.replace("//", `//nobody:${escaped}@`) }, client);
    assert.is(error.code, "NATS_AUTH");
    assert.not.ok([secret, escaped, "7f3c9e"].some((text) => shown(error).includes(text)), shown(error));
  }
  const gone = await refused({ servers: `nats://someone:${escaped}@127.0.0.1:1` }, "nats");
  assert.is(gone.code, "UNREACHABLE");
  assert.not.match(shown(gone), "7f3c9e");
  assert.is((await rejection(natsOptions({ passFile: path("none") }))).code, "CREDENTIALS_UNREADABLE");
  assert.is((await rejection(natsOptions({ inbox: "_INBOX.>" }))).code, "OPTION_INVALID");
});

/** All that --verbose could print. */
function shown(error: unknown, depth = 0): string {
  if (!(error instanceof Error) || depth > 5) return "";
  return `${error.stack}\n${error.message}\n${JSON.stringify(error)}\n${shown(error.cause, depth + 1)}`;
}

test.run();
