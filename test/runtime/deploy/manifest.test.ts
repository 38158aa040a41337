import { suite } from "uvu";
import * as assert from "uvu/assert";
import { checkSignature, decodeDeployment, type Deployed, encodeDeployment, type Manifest, mostBundleBytes, signManifest } from "../../../runtime/deploy/manifest.ts";
import { newKey } from "../../../runtime/deploy/nkey.ts";
import { MillraceError } from "../../../runtime/event/errors.ts";

const test = suite("manifest");
const { key } = newKey("user"), { key: other } = newKey("account");
const manifest: Manifest = { name: "quakes", hash: "ab".repeat(32), bytes: 1234, at: 1_700_000_000_000, file: "quakes.ts", millrace: "0.1.0", nodes: 2, mode: "continue" };
const trusted = new Set([key.publicKey]);

function codeOf(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    if (error instanceof MillraceError) return error.code;
    throw error;
  }
  return "accepted";
}

/** What is on the wire, with something of it changed. */
function wire(change: (fields: Record<string, unknown>) => void): Uint8Array {
  const fields = JSON.parse(Buffer.from(encodeDeployment(signManifest(manifest, key))).toString()) as Record<string, unknown>;
  change(fields);
  return Buffer.from(JSON.stringify(fields));
}

const judged = (bytes: Uint8Array): string => codeOf(() => checkSignature(decodeDeployment(bytes) as Deployed, trusted));

test("what a trusted key signed is taken, and read as it was written", () => {
  const read = decodeDeployment(encodeDeployment(signManifest(manifest, key))) as Deployed;
  assert.equal(read.manifest, manifest);
  assert.is(read.key, key.publicKey);
  checkSignature(read, trusted);
});

test("what its actors may go over to stands beside it, each signed for itself; another flow's, and more than a few, are refused", () => {
  const deployed = signManifest(manifest, key), next = signManifest({ ...manifest, hash: "cd".repeat(32) }, other), foreign = signManifest({ ...manifest, name: "others" }, key);
  const read = decodeDeployment(encodeDeployment({ ...deployed, next: [next] })) as Deployed;
  assert.equal([read.manifest, read.next?.map((one) => [one.manifest.hash, one.key])], [manifest, [["cd".repeat(32), other.publicKey]]]);
  assert.is(codeOf(() => checkSignature(read.next?.[0] as Deployed, trusted)), "KEY_UNTRUSTED", "that the flow's own code is trusted says nothing about it");
  for (const wrong of [[], [foreign], Array(5).fill(next), [{ ...next, signed: 3 }], [null]]) assert.is(judged(wire((fields) => { fields["next"] = wrong; })), "BYTES_REFUSED");
});

test("what another key signed is refused, and so is everything where no key is trusted", () => {
  const read = decodeDeployment(encodeDeployment(signManifest(manifest, other))) as Deployed;
  assert.is(codeOf(() => checkSignature(read, trusted)), "KEY_UNTRUSTED");
  assert.is(codeOf(() => checkSignature(read, new Set())), "KEY_UNTRUSTED");
});

test("each field of the manifest is under the signature", () => {
  const others: Manifest = { name: "other", hash: "cd".repeat(32), bytes: 1235, at: manifest.at + 1, file: "x.ts", millrace: "0.2.0", nodes: 3, mode: "fresh" };
  for (const field of Object.keys(manifest) as (keyof Manifest)[]) {
    assert.is(judged(wire((fields) => { fields["signed"] = JSON.stringify({ ...manifest, [field]: others[field] }); })), "SIGNATURE_INVALID", field);
  }
  assert.is(judged(wire((fields) => { fields["signed"] = `${fields["signed"]} `; })), "SIGNATURE_INVALID", "the same said otherwise");
});

test("the name of a trusted key does not help without its signature", () => {
  const { signature } = signManifest(manifest, other);
  for (const forged of [signature, "", "AAAA", Buffer.alloc(64).toString("base64")]) assert.is(judged(wire((fields) => { fields["signature"] = forged; })), "SIGNATURE_INVALID");
  assert.is(judged(wire((fields) => { fields["key"] = other.publicKey; })), "KEY_UNTRUSTED");
});

test("a signature of the same text for another purpose does not count", () => {
  const signature = Buffer.from(key.sign(Buffer.from(JSON.stringify(manifest)))).toString("base64");
  assert.is(judged(wire((fields) => { fields["signature"] = signature; })), "SIGNATURE_INVALID");
});

test("that a flow was undeployed is read as it was written", () => {
  const undeployed = { kind: "undeployed", name: "quakes", hash: manifest.hash, at: 5 } as const;
  assert.equal(decodeDeployment(encodeDeployment(undeployed)), undeployed);
});

test("what is no deployment is refused; one of a newer Millrace is told apart", () => {
  for (const bytes of ["", "{", "null", "[]", '"x"', "{}", '{"v":1}', '{"v":1,"kind":"deployed"}', '{"v":1,"kind":"undeployed","name":"A B","hash":"x","at":1}', "x".repeat(20_000)]) {
    assert.is(codeOf(() => decodeDeployment(Buffer.from(bytes))), "BYTES_REFUSED", bytes.slice(0, 60));
  }
  assert.is(codeOf(() => decodeDeployment(Buffer.from('{"v":2}'))), "DEPLOYMENT_NEWER");
});

for (const [what, change] of [
  ["a name that is a path", { name: "../x" }], ["a hash that is a path", { hash: "../../../../etc/passwd" }], ["a hash that is too short", { hash: "ab" }], ["more bytes than are taken", { bytes: mostBundleBytes + 1 }],
  ["a negative size", { bytes: -1 }], ["a mode that is none", { mode: "again" }], ["a time that is none", { at: "now" }], ["a name that is too long for a person", { file: "x".repeat(300) }],
] as const) {
  test(`${what} is refused, whoever signed it`, () => {
    const signed = signManifest({ ...manifest, ...(change as Partial<Manifest>) }, key);
    assert.is(codeOf(() => decodeDeployment(encodeDeployment(signed))), "BYTES_REFUSED");
  });
}

test.run();
