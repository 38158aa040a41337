// What of a flow's deployment is in a backup: the bundles of its code, each a stream, the signed manifest that names them, and which run it has
// come to. So the nodes of another NATS load it and go on with the run that was restored. Nothing of it need be trusted: nodes look at the
// signature and the hash as they always do.
import { deploymentsPattern, deploymentsStream, deploymentSubject, createDeployments, nameOf } from "../deploy/deployments.ts";
import { decodeDeployment, type Deployment } from "../deploy/manifest.ts";
import type { Broker } from "../broker/broker.ts";
import { MillraceError } from "../event/errors.ts";
import { type DeploymentNote, readDeploymentNote, writeDeploymentNote } from "../node/deployment-note.ts";
import { type CopyPlace, overtaken } from "./actor-copy.ts";
import type { StreamManifest } from "./manifest.ts";
import { StreamFileWriter } from "./stream-file.ts";

export interface DeploymentManifest {
  /** The newest message about the flow in the stream of deployments, as it stands there; base64. */
  readonly entry: string;
  /** Which run it has come to. */
  readonly note?: DeploymentNote;
}

const tries = 5;

/** `undefined`: it is not deployed. @throws MillraceError UNREACHABLE */
export async function readEntry(broker: Broker, flow: string): Promise<DeploymentManifest | undefined> {
  const last = await broker.stream(deploymentsStream, deploymentSubject(flow)).last().catch((error: unknown) => {
    // No node that takes deployments has ever been here.
    if (error instanceof MillraceError && error.code === "STREAM_MISSING") return undefined;
    throw error;
  });
  if (last === undefined || deploymentIn(last.data, flow)?.kind !== "deployed") return undefined;
  const note = await readDeploymentNote(broker.keys, flow);
  return { entry: Buffer.from(last.data).toString("base64"), ...(note === undefined ? {} : { note }) };
}

/** The bundles of a flow. @throws MillraceError BACKUP_OVERTAKEN, UNREACHABLE */
export async function copyBundles(flow: string, { broker, file, wrote }: CopyPlace): Promise<readonly StreamManifest[]> {
  const copied: StreamManifest[] = [];
  for (const name of await broker.list(`mr_code_${flow}_`)) {
    const spec = await broker.describe(name);
    if (spec === undefined) throw overtaken(flow, "a bundle of it was removed");
    const stream = broker.stream(name, spec.subject), { first, last } = await stream.bounds(), place = file(name), writer = await StreamFileWriter.create(place.path);
    let largest = 0, next = first;
    try {
      if (last >= first) for await (const stored of stream.read(first, last)) {
        if (stored.seq !== next++) throw overtaken(flow, "a bundle of it was just being stored");
        await writer.add(stored);
        wrote(stored.data.length);
        largest = Math.max(largest, stored.data.length);
      }
      copied.push({ spec, file: place.file, first, last, largest, verbatim: true, ...(await writer.close()) });
    } catch (error) {
      await writer.abandon();
      throw error;
    }
  }
  return copied;
}

/** `undefined`: it holds none of that flow. */
export function deploymentIn(bytes: Uint8Array, flow: string): Deployment | undefined {
  try {
    const deployment = decodeDeployment(bytes);
    return nameOf(deployment) === flow ? deployment : undefined;
  } catch {
    return undefined;
  }
}

/** Of a manifest; `undefined`: it holds none of that flow. */
export function deployedIn({ entry }: DeploymentManifest, flow: string): Extract<Deployment, { kind: "deployed" }> | undefined {
  const deployment = deploymentIn(Buffer.from(entry, "base64"), flow);
  return deployment?.kind === "deployed" ? deployment : undefined;
}

/**
 * Deploys what was deployed, as the last step: nodes that trust who signed it begin at once, and go on with the run.
 * @throws MillraceError UNREACHABLE
 */
export async function restoreDeployment(broker: Broker, flow: string, { entry, note }: DeploymentManifest, replicas: 1 | 3): Promise<void> {
  if (note !== undefined) await writeDeploymentNote(broker.keys, flow, note);
  if ((await broker.describe(deploymentsStream)) === undefined) await createDeployments(broker, replicas);
  const stream = broker.stream(deploymentsStream, deploymentSubject(flow)), bytes = Buffer.from(entry, "base64");
  for (let attempt = 0; attempt < tries; attempt++) {
    const last = await stream.last();
    if (last !== undefined && Buffer.compare(last.data, bytes) === 0) return;
    if (typeof (await stream.append(bytes, last?.seq ?? 0)) === "number") return;
  }
  throw new MillraceError("UNREACHABLE", deploymentsPattern, `NATS did not take the deployment of "${flow}"`, "Give the same command again: it begins anew.");
}
