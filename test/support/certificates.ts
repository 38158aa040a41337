// X.509 certificates for a test, made without openssl: Node signs, the few structures are written here (RFC 5280, DER). They are valid for a
// day, and their keys are nowhere but in the test.
import { createPrivateKey, generateKeyPairSync, type KeyObject, randomBytes, sign } from "node:crypto";
import { isIPv4 } from "node:net";

export interface Certificate {
  /** PEM. */
  readonly cert: string;
  readonly key: string;
}

const dayMs = 86_400_000;

const der = (tag: number, ...parts: readonly Uint8Array[]): Buffer => {
  const body = Buffer.concat(parts), { length } = body;
  const size = length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >> 8, length & 255];
  return Buffer.concat([Buffer.from([tag, ...size]), body]);
};
const sequence = (...parts: readonly Uint8Array[]): Buffer => der(0x30, ...parts);
const id = (hex: string): Buffer => der(0x06, Buffer.from(hex, "hex"));
const bits = (bytes: Uint8Array): Buffer => der(0x03, Buffer.from([0]), bytes);
const yes = der(0x01, Buffer.from([0xff]));

const ecdsaWithSha256 = sequence(id("2a8648ce3d040302"));
const name = (common: string): Buffer => sequence(der(0x31, sequence(id("550403"), der(0x0c, Buffer.from(common)))));
const time = (at: number): Buffer => der(0x18, Buffer.from(`${new Date(at).toISOString().replace(/\D/g, "").slice(0, 14)}Z`));
const extension = (oid: string, value: Uint8Array, critical = false): Buffer => sequence(id(oid), ...(critical ? [yes] : []), der(0x04, value));

const authorityOnly = [extension("551d13", sequence(yes), true), extension("551d0f", der(0x03, Buffer.from([1, 0x06])), true)];
const forServersAndClients = extension("551d25", sequence(id("2b06010505070301"), id("2b06010505070302")));
const alternatives = (names: readonly string[]): Buffer => extension("551d11", sequence(...names.map((its) => (isIPv4(its) ? der(0x87, Buffer.from(its.split(".").map(Number))) : der(0x82, Buffer.from(its))))));

function issue(subject: string, publicKey: KeyObject, issuer: string, issuerKey: KeyObject, extensions: readonly Uint8Array[], now = Date.now()): string {
  const body = sequence(
    der(0xa0, der(0x02, Buffer.from([2]))), der(0x02, Buffer.from([1]), randomBytes(8)), ecdsaWithSha256, name(issuer),
    sequence(time(now - dayMs), time(now + dayMs)), name(subject), publicKey.export({ type: "spki", format: "der" }), der(0xa3, sequence(...extensions)),
  );
  const base64 = sequence(body, ecdsaWithSha256, bits(sign("sha256", body, issuerKey))).toString("base64");
  return `-----BEGIN CERTIFICATE-----\n${base64.replace(/.{1,64}/g, "$&\n")}-----END CERTIFICATE-----\n`;
}

const keys = () => generateKeyPairSync("ec", { namedCurve: "P-256" });
const pem = (key: KeyObject): string => key.export({ type: "pkcs8", format: "pem" }) as string;

/** One that signs others. */
export function authority(common: string): Certificate {
  const { publicKey, privateKey } = keys();
  return { cert: issue(common, publicKey, common, privateKey, authorityOnly), key: pem(privateKey) };
}

/** Of a server or a client, signed by `by` (made with the common name `issuer`). `names`: addresses and host names. */
export function certificate(common: string, names: readonly string[], by: Certificate, issuer: string): Certificate {
  const { publicKey, privateKey } = keys();
  return { cert: issue(common, publicKey, issuer, createPrivateKey(by.key), [alternatives(names), forServersAndClients]), key: pem(privateKey) };
}
