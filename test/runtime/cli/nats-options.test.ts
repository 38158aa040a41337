// How a command is told where NATS is: flags before the environment, and all of it handed to a process of ours by the environment.
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { connectionOf, environmentOf } from "../../../runtime/cli/nats-options.ts";
import type { Connection } from "../../../runtime/node/connection.ts";

const test = suite("nats options");
const dataDir = ".millrace";

test("without a server there is no connection, whatever else is set", () => {
  assert.is(connectionOf({ dataDir, natsUser: "a", natsTlsCa: "ca.pem" }, {}), undefined);
  assert.is(connectionOf({ dataDir }, { MILLRACE_NATS: "", MILLRACE_NATS_USER: "a" }), undefined);
});

test("the command line goes before the environment, also where it names another form of the same", () => {
  const env = { MILLRACE_NATS: "nats://a:1", MILLRACE_NATS_USER: "u", MILLRACE_NATS_PASSWORD: "by-env", MILLRACE_NATS_PASSWORD_FILE: "env-file", MILLRACE_NATS_INBOX: "_INBOX_u", MILLRACE_NATS_NKEY: "" };
  const base = { servers: ["nats://a:1"], user: "u", inbox: "_INBOX_u" };
  assert.equal(connectionOf({ dataDir }, env), { ...base, pass: "by-env" });
  assert.equal(connectionOf({ dataDir, natsPassword: "by-flag" }, env), { ...base, pass: "by-flag" });
  assert.equal(connectionOf({ dataDir, natsPasswordFile: "flag-file" }, env), { ...base, passFile: "flag-file" });
  assert.equal(connectionOf({ dataDir, nats: "b:2, c:3", natsUser: "w", natsInbox: "_INBOX_w" }, env), { servers: ["b:2", "c:3"], user: "w", inbox: "_INBOX_w", pass: "by-env" });
});

test("who is named in an address is taken out of it: addresses are shown", () => {
  assert.equal(connectionOf({ dataDir, nats: "nats://u:p%40ss@a:1,nats://u:p%40ss@b:2" }, {}), { servers: ["nats://a:1", "nats://b:2"], user: "u", pass: "p@ss" });
  assert.equal(connectionOf({ dataDir, nats: "nats://u:p@[::1]:4222", natsUser: "w", natsPassword: "q" }, {}), { servers: ["nats://[::1]:4222"], user: "w", pass: "q" });
  assert.equal(connectionOf({ dataDir, nats: "tls://a:1" }, {}), { servers: ["tls://a:1"], tls: {} });
});

test("in a cluster: how many servers hold each stream", () => {
  const base = { servers: ["nats://a:1"] };
  assert.equal(connectionOf({ dataDir, nats: "nats://a:1" }, { MILLRACE_NATS_REPLICAS: "3" }), { ...base, replicas: 3 });
  assert.equal(connectionOf({ dataDir, nats: "nats://a:1", natsReplicas: "1" }, { MILLRACE_NATS_REPLICAS: "3" }), { ...base, replicas: 1 });
  assert.is(environmentOf({ ...base, replicas: 3 }, {})["MILLRACE_NATS_REPLICAS"], "3");
});

test("what a process of ours is told by its environment is the same connection, and no other", () => {
  const whole: Connection = { servers: ["nats://a:1", "nats://b:2"], user: "u", pass: "p", credentials: "c.creds", nkey: "n.nk", inbox: "_INBOX_u", tls: { ca: "ca.pem", cert: "c.pem", key: "k.pem" } };
  assert.equal(connectionOf({ dataDir }, environmentOf(whole, {})), whole);
  const inFile: Connection = { servers: ["nats://a:1"], user: "u", passFile: "file" };
  assert.equal(connectionOf({ dataDir }, environmentOf(inFile, environmentOf(whole, {}))), inFile);
  const embedded: Connection = { servers: "nats://127.0.0.1:5", user: "m", pass: "n" };
  assert.equal(environmentOf(embedded, { PATH: "/bin", MILLRACE_NATS_TLS_CA: "ca.pem", MILLRACE_NATS_CREDS: "x" }), { PATH: "/bin", MILLRACE_NATS: "nats://127.0.0.1:5", MILLRACE_NATS_USER: "m", MILLRACE_NATS_PASSWORD: "n" });
});

test.run();
