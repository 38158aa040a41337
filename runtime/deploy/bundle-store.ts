// Bundles, each in a stream of its own (`mr_code_<flow>_<hash>`), cut into messages: a bundle may be larger than one. What they come to is
// judged by the hash alone, which stands in the signed manifest; so nothing else about them need be trusted.
import { createHash } from "node:crypto";
import type { Broker } from "../broker/broker.ts";
import { MillraceError } from "../event/errors.ts";

const mostChunk = 256 * 1024;
const appendMs = 5_000;
const tries = 8;

export function hashOf(bundle: Uint8Array): string {
  return createHash("sha256").update(bundle).digest("hex");
}

const prefixOf = (flow: string): string => `mr_code_${flow}_`;

export function bundleStream(flow: string, hash: string): string {
  return `${prefixOf(flow)}${hash.slice(0, 32)}`;
}

function subjectOf(flow: string, hash: string): string {
  return `mr.code.${flow}.${hash.slice(0, 32)}`;
}

/**
 * Stores a bundle under its hash; goes on with what an interrupted call has stored, and puts right what is damaged. `false`: it was there,
 * whole. @throws MillraceError UNREACHABLE, STREAM_CONFLICT
 */
export async function storeBundle(broker: Broker, flow: string, bundle: Uint8Array, replicas: 1 | 3): Promise<boolean> {
  const hash = hashOf(bundle), name = bundleStream(flow, hash), subject = subjectOf(flow, hash), stream = broker.stream(name, subject);
  const chunk = Math.max(1, Math.min(mostChunk, Math.floor(broker.maxPayload / 2)));
  let changed = false;
  for (let attempt = 0; attempt < tries; attempt++) {
    await broker.create({ name, subject, replicas });
    const there = await storedPart(broker, name, subject, bundle);
    if (there === undefined) {
      await broker.remove(name);
      changed = true;
      continue;
    }
    let { bytes, seq } = there;
    if (bytes === bundle.length) return changed;
    changed = true;
    while (bytes < bundle.length) {
      const outcome = await stream.append(bundle.slice(bytes, bytes + chunk), seq, appendMs);
      // Whatever it was, the next look tells what is stored.
      if (typeof outcome !== "number") break;
      bytes = Math.min(bytes + chunk, bundle.length);
      seq = outcome;
    }
  }
  throw new MillraceError("UNREACHABLE", name, "NATS did not take the whole bundle", "Try it again; see that NATS is there and has room.");
}

/** How much of the bundle's beginning is stored, and under which sequence the last of it; `undefined`: what is stored is something else. */
async function storedPart(broker: Broker, name: string, subject: string, bundle: Uint8Array): Promise<{ readonly bytes: number; readonly seq: number } | undefined> {
  const stream = broker.stream(name, subject), { first, last } = await stream.bounds();
  if (last === 0) return { bytes: 0, seq: 0 };
  if (first !== 1) return undefined;
  let bytes = 0, seq = 0;
  for await (const { data, seq: at } of stream.read(1, last)) {
    if (at !== seq + 1 || data.length === 0 || Buffer.compare(data, bundle.subarray(bytes, bytes + data.length)) !== 0) return undefined;
    bytes += data.length;
    seq = at;
  }
  return seq === last ? { bytes, seq } : undefined;
}

/** Reads a bundle and checks it against what its manifest says. @throws MillraceError BUNDLE_MISSING, BUNDLE_DAMAGED, UNREACHABLE */
export async function readBundle(broker: Broker, { name: flow, hash, bytes }: { readonly name: string; readonly hash: string; readonly bytes: number }): Promise<Uint8Array> {
  const stream = broker.stream(bundleStream(flow, hash), subjectOf(flow, hash)), chunks: Uint8Array[] = [];
  let size = 0;
  try {
    const { last } = await stream.bounds();
    for await (const { data } of stream.read(1, last)) {
      chunks.push(data);
      size += data.length;
      // No more is taken into memory than was signed.
      if (size > bytes) throw damaged(flow, `is longer than the ${bytes} bytes that were signed`);
    }
  } catch (error) {
    if (error instanceof MillraceError && error.code === "STREAM_MISSING") throw new MillraceError("BUNDLE_MISSING", flow, `The bundle of flow "${flow}" is not in NATS`, "Deploy it again.");
    throw error;
  }
  if (size < bytes) throw damaged(flow, `has ${size} of the ${bytes} bytes that were signed`);
  const bundle = Buffer.concat(chunks);
  if (hashOf(bundle) !== hash) throw damaged(flow, "does not fit the hash that was signed");
  return bundle;
}

/** What is stored of a flow beside the bundle of one hash. To be asked before it is on record that they go: what is stored after that is of somebody who was later. @throws MillraceError UNREACHABLE */
export async function otherBundles(broker: Broker, flow: string, but?: string): Promise<readonly string[]> {
  const kept = but === undefined ? undefined : bundleStream(flow, but);
  return (await broker.list(prefixOf(flow))).filter((name) => name !== kept);
}

/** @throws MillraceError UNREACHABLE */
export async function removeBundles(broker: Broker, names: readonly string[]): Promise<void> {
  for (const name of names) await broker.remove(name);
}

function damaged(flow: string, how: string): MillraceError {
  return new MillraceError("BUNDLE_DAMAGED", flow, `The bundle of flow "${flow}" ${how}`, "Nothing of it was run. Deploy it again, and look who else may publish under mr.code.>.");
}
