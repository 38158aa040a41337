// What is deployed under a flow's name (stream `mr_flows`, subject `mr.flow.<name>`, the newest of each kept): a signed manifest that names a
// bundle by its hash, or that the flow was undeployed. JSON. What is signed is a text and stays one until its signature was checked, so
// that two programs never differ about which bytes were meant.
import { MillraceError } from "../event/errors.ts";
import { isName } from "../flow/name.ts";
import { isSignedBy, type SigningKey } from "./nkey.ts";

const version = 1;
/** Before what is signed: a key that also opens connections never signs a manifest by answering a challenge. */
const purpose = "millrace deployment 1\n";
const longest = 16 * 1024;
/** Of a bundle, in bytes. */
export const mostBundleBytes = 64 * 1024 * 1024;

export interface Manifest {
  /** Of the flow. */
  readonly name: string;
  /** SHA-256 of the bundle, hex: the hash of the flow's code. */
  readonly hash: string;
  readonly bytes: number;
  /** When it was signed: wall clock, ms since the epoch. */
  readonly at: number;
  /** Name of the file that the bundle was made of; for people. */
  readonly file: string;
  /** Version of Millrace that made it. */
  readonly millrace: string;
  /** Its first placement waits for so many nodes that have loaded it. */
  readonly nodes: number;
  /** What becomes of a run that was interrupted; once, when this deployment's run begins. As for NodeOptions.run. */
  readonly mode: "continue" | "fresh" | "resume";
}

export interface Deployed {
  readonly kind: "deployed";
  /** As it was read; not to be acted upon before `checkSignature`. */
  readonly manifest: Manifest;
  /** The manifest as it was signed. */
  readonly signed: string;
  /** Public key of who signed. */
  readonly key: string;
  /** Base64. Tells one deployment from every other. */
  readonly signature: string;
  /** Deployments of the same flow that its actors may go over to while it runs, the newest last; each signed for itself, and none with such of its own. */
  readonly next?: readonly Deployed[];
}

/** Most codes that the actors of one flow may be on the way to, after some that failed. */
export const mostNext = 4;

export interface Undeployed {
  readonly kind: "undeployed";
  readonly name: string;
  /** Of the code that is to stop. */
  readonly hash: string;
  readonly at: number;
}

export type Deployment = Deployed | Undeployed;

export function signManifest(manifest: Manifest, key: SigningKey): Deployed {
  const signed = JSON.stringify(manifest);
  return { kind: "deployed", manifest, signed, key: key.publicKey, signature: Buffer.from(key.sign(Buffer.from(purpose + signed))).toString("base64") };
}

/** @throws MillraceError KEY_UNTRUSTED, SIGNATURE_INVALID */
export function checkSignature({ manifest: { name }, signed, key, signature }: Deployed, trusted: ReadonlySet<string>): void {
  if (!trusted.has(key)) throw new MillraceError("KEY_UNTRUSTED", name, `Flow "${name}" was signed by ${key}, which this node does not trust`, `Start the node with --trust ${key} if that is right, or deploy with a key that it trusts.`);
  if (!isSignedBy(key, Buffer.from(purpose + signed), Buffer.from(signature, "base64"))) throw new MillraceError("SIGNATURE_INVALID", name, `What was deployed as flow "${name}" is not what ${key} signed`, "Deploy it again, and look who else may publish under mr.flow.>.");
}

export function encodeDeployment(deployment: Deployment): Uint8Array {
  if (deployment.kind === "undeployed") return Buffer.from(JSON.stringify({ v: version, ...deployment }));
  const { kind, signed, key, signature, next } = deployment;
  return Buffer.from(JSON.stringify({ v: version, kind, signed, key, signature, ...(next === undefined ? {} : { next: next.map((one) => ({ signed: one.signed, key: one.key, signature: one.signature })) }) }));
}

/** Without what its actors may go over to. */
export function alone({ next: _, ...deployment }: Deployed): Deployed {
  return deployment;
}

/** @throws MillraceError DEPLOYMENT_NEWER, BYTES_REFUSED */
export function decodeDeployment(bytes: Uint8Array): Deployment {
  if (bytes.byteLength > longest) throw refused();
  const read = parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("utf8")), { v, kind } = read;
  if (!isCount(v)) throw refused();
  if (v > version) throw newer();
  if (kind === "undeployed" && isName(read["name"]) && isHash(read["hash"]) && isCount(read["at"])) return { kind, name: read["name"], hash: read["hash"], at: read["at"] };
  if (kind !== "deployed") throw refused();
  const deployed = deployedOf(read), { next } = read;
  if (next === undefined) return deployed;
  if (!Array.isArray(next) || next.length === 0 || next.length > mostNext) throw refused();
  const those = next.map((one: unknown) => (typeof one === "object" && one !== null ? deployedOf(one as Record<string, unknown>) : undefined));
  if (!those.every((one): one is Deployed => one?.manifest.name === deployed.manifest.name)) throw refused();
  return { ...deployed, next: those };
}

function deployedOf({ signed, key, signature }: Readonly<Record<string, unknown>>): Deployed {
  if (typeof signed !== "string" || !isKeyText(key) || typeof signature !== "string") throw refused();
  return { kind: "deployed", manifest: manifestOf(parse(signed)), signed, key, signature };
}

function manifestOf({ name, hash, bytes, at, file, millrace, nodes, mode }: Readonly<Record<string, unknown>>): Manifest {
  const whole = isName(name) && isHash(hash) && isCount(bytes) && bytes <= mostBundleBytes && isCount(at) && isText(file) && isText(millrace) && isCount(nodes) && (mode === "continue" || mode === "fresh" || mode === "resume");
  if (!whole) throw refused();
  return { name, hash, bytes, at, file, millrace, nodes, mode };
}

function parse(text: string): Readonly<Record<string, unknown>> {
  try {
    const read: unknown = JSON.parse(text);
    if (typeof read === "object" && read !== null) return read as Record<string, unknown>;
  } catch (cause) {
    throw refused(cause);
  }
  throw refused();
}

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
const isHash = (value: unknown): value is string => typeof value === "string" && /^[0-9a-f]{64}$/.test(value);
const isText = (value: unknown): value is string => typeof value === "string" && value.length <= 256;
/** Of its form only: it goes into messages. */
const isKeyText = (value: unknown): value is string => typeof value === "string" && /^[A-Z2-7]{1,64}$/.test(value);

function newer(): MillraceError {
  return new MillraceError("DEPLOYMENT_NEWER", "mr.flow.>", "A flow was deployed by a newer Millrace", "Run that version on this node.");
}

function refused(cause?: unknown): MillraceError {
  return new MillraceError("BYTES_REFUSED", "mr.flow.>", "A message under mr.flow.> is no deployment of a flow", "Look at who publishes there; only `millrace deploy` and `undeploy` should.", cause === undefined ? {} : { cause });
}
