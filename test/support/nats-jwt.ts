// An operator with one account and its user, as nsc would make them: for a nats-server that knows nobody but by their JWT, and a `.creds` file.
import { createHash } from "node:crypto";
import { createAccount, createOperator, createUser, fromSeed, type KeyPair } from "nkeys.js";

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString("latin1");
const base64url = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64url");

function jwt(name: string, subject: KeyPair, issuer: KeyPair, nats: object): string {
  const claims = { iat: Math.floor(Date.now() / 1000), iss: issuer.getPublicKey(), name, sub: subject.getPublicKey(), nats: { ...nats, version: 2 } };
  const jti = createHash("sha256").update(JSON.stringify(claims)).digest("hex"), signed = `${base64url({ typ: "JWT", alg: "ed25519-nkey" })}.${base64url({ ...claims, jti })}`;
  return `${signed}.${Buffer.from(issuer.sign(Buffer.from(signed))).toString("base64url")}`;
}

const unlimited = { subs: -1, data: -1, payload: -1, imports: -1, exports: -1, wildcards: true, conn: -1, leaf: -1 };
const storage = { mem_storage: -1, disk_storage: -1, streams: -1, consumer: -1 };

export interface Tenant {
  /** What nats-server is told of it. */
  readonly conf: string;
  /** Content of the user's `.creds` file. */
  readonly creds: string;
  /** What must not be seen anywhere. */
  readonly seed: string;
}

export function tenant(): Tenant {
  const operator = createOperator(), system = createAccount(), account = createAccount(), user = createUser(), seed = text(user.getSeed());
  const accounts = { [system.getPublicKey()]: jwt("SYS", system, operator, { type: "account", limits: unlimited }), [account.getPublicKey()]: jwt("APP", account, operator, { type: "account", limits: { ...unlimited, ...storage } }) };
  const preload = Object.entries(accounts).map(([key, its]) => `${key}: ${its}`).join("\n");
  return {
    conf: `operator: ${jwt("O", operator, operator, { type: "operator" })}\nsystem_account: ${system.getPublicKey()}\nresolver: MEMORY\nresolver_preload: {\n${preload}\n}\n`,
    creds: `-----BEGIN NATS USER JWT-----\n${jwt("node", user, account, { type: "user", subs: -1, data: -1, payload: -1 })}\n------END NATS USER JWT------\n\n-----BEGIN USER NKEY SEED-----\n${seed}\n------END USER NKEY SEED------\n`,
    seed,
  };
}

/** A key, and its public half as nats-server is told. */
export function userKey(): { readonly seed: string; readonly publicKey: string } {
  const user = createUser(), seed = text(user.getSeed());
  return { seed, publicKey: fromSeed(Buffer.from(seed)).getPublicKey() };
}
