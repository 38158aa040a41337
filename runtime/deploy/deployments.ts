// Where deployments are kept. A stream of our own rather than NATS' object store: the port to the broker and both client libraries have what
// it needs, and an append by compare-and-set lets exactly one of two deployers through, which the object store does not offer.
import type { Broker } from "../broker/broker.ts";
import { MillraceError } from "../event/errors.ts";
import { decodeDeployment, type Deployment, encodeDeployment } from "./manifest.ts";

export const deploymentsStream = "mr_flows";
export const deploymentsPattern = "mr.flow.>";

const appendMs = 2_000;
const tries = 5;

export function deploymentSubject(flow: string): string {
  return `mr.flow.${flow}`;
}

/** Nodes that take deployments make it, with the replicas that they were started with. @throws MillraceError UNREACHABLE, STREAM_CONFLICT */
export async function createDeployments(broker: Broker, replicas: 1 | 3): Promise<void> {
  await broker.create({ name: deploymentsStream, subject: deploymentsPattern, maxPerSubject: 1, replicas });
}

export interface KeptDeployment {
  readonly deployment: Deployment | undefined;
  /** 0: none. */
  readonly seq: number;
}

/** What is deployed under a name. @throws MillraceError DEPLOY_NOWHERE, UNREACHABLE, DEPLOYMENT_NEWER */
export async function readDeployment(broker: Broker, flow: string): Promise<KeptDeployment> {
  const last = await known(flow, () => broker.stream(deploymentsStream, deploymentSubject(flow)).last());
  if (last === undefined) return { deployment: undefined, seq: 0 };
  return { deployment: decoded(last.data, flow), seq: last.seq };
}

/** All that is deployed or was; what cannot be read is left out. @throws MillraceError UNREACHABLE */
export async function readDeployments(broker: Broker): Promise<readonly Deployment[]> {
  const found = new Map<string, Deployment>(), stream = broker.stream(deploymentsStream, deploymentsPattern);
  try {
    const { first, last } = await stream.bounds();
    for await (const { data } of stream.read(first, last)) {
      const deployment = decoded(data);
      if (deployment !== undefined) found.set(nameOf(deployment), deployment);
    }
  } catch (error) {
    // No node that takes deployments has ever been here.
    if (!(error instanceof MillraceError) || error.code !== "STREAM_MISSING") throw error;
  }
  return [...found.values()].sort((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1));
}

/** `false`: another was faster, nothing was written. `expected`: `seq` of what was read before. @throws MillraceError UNREACHABLE, DEPLOY_NOWHERE */
export async function writeDeployment(broker: Broker, deployment: Deployment, expected: number): Promise<boolean> {
  const flow = nameOf(deployment), stream = broker.stream(deploymentsStream, deploymentSubject(flow)), bytes = encodeDeployment(deployment);
  for (let attempt = 0; attempt < tries; attempt++) {
    const outcome = await stream.append(bytes, expected, appendMs);
    if (typeof outcome === "number") return true;
    if (outcome === "missing") throw nowhere(flow);
    // Refused is treated like unknown (P3): an attempt whose ack was lost may have been stored.
    const last = await known(flow, () => stream.last());
    if ((last?.seq ?? 0) !== expected) return last !== undefined && Buffer.compare(last.data, bytes) === 0;
  }
  throw new MillraceError("UNREACHABLE", stream.subject, "NATS did not take the deployment", "Try it again; see that NATS is there and has room.");
}

export function nameOf(deployment: Deployment): string {
  return deployment.kind === "deployed" ? deployment.manifest.name : deployment.name;
}

/** What is no deployment counts as none: the next one stands in its place. One by a newer Millrace is not touched. */
function decoded(bytes: Uint8Array, flow?: string): Deployment | undefined {
  try {
    const deployment = decodeDeployment(bytes);
    return flow === undefined || nameOf(deployment) === flow ? deployment : undefined;
  } catch (error) {
    if (flow !== undefined && error instanceof MillraceError && error.code === "DEPLOYMENT_NEWER") throw error;
    return undefined;
  }
}

async function known<T>(flow: string, ask: () => Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (error) {
    throw error instanceof MillraceError && error.code === "STREAM_MISSING" ? nowhere(flow) : error;
  }
}

function nowhere(flow: string): MillraceError {
  return new MillraceError("DEPLOY_NOWHERE", flow, "No node that takes deployed flows has been here", "Start one: millrace node --nats URL --trust KEY, with the public key that `millrace keys show` prints.");
}
