// The flows that are deployed, on one node: follows what is deployed, and has the placement run what a trusted key signed. What is not trusted,
// or does not fit its hash, is refused before anything of it is evaluated, and told; it never ends the node.
import type { Broker, Stored } from "../broker/broker.ts";
import { otherBundles, readBundle, removeBundles } from "../deploy/bundle-store.ts";
import { DeploymentFeed } from "../deploy/deployment-feed.ts";
import { writeDeployment } from "../deploy/deployments.ts";
import { alone, checkSignature, decodeDeployment, type Deployed, type Deployment, type Manifest } from "../deploy/manifest.ts";
import { type Clock, pause } from "../event/clock.ts";
import { asError, MillraceError } from "../event/errors.ts";
import type { Logger } from "../flow/context.ts";
import type { FlowPlan } from "../flow/plan.ts";
import type { FlowCatalog, LoadedPlan } from "./flow-catalog.ts";
import { type Refusal, refusalOf } from "./refusal.ts";

/** Evaluates a bundle whose signature and hash were checked, and gives the flow that it exports. */
export type BundleLoader = (bundle: Uint8Array, manifest: Manifest) => Promise<FlowPlan>;

export interface DeployedFlowsOptions {
  readonly broker: Broker;
  readonly clock: Clock;
  readonly log: Logger;
  readonly replicas: 1 | 3;
  /** Public keys; none: nothing is loaded, and what is undeployed is followed nevertheless, since this node may lead. */
  readonly trusted: ReadonlySet<string>;
  /** Default: nothing can be. */
  readonly load: BundleLoader | undefined;
  /** Names of the flows that the node was started with: they stand. */
  readonly given: ReadonlySet<string>;
  /** Whether its actors can run here. Throws where not. */
  readonly admit: (plan: FlowPlan) => void;
  readonly catalog: Pick<FlowCatalog, "add" | "deployed" | "withdraw" | "candidates" | "addCandidate" | "loaded">;
  /** What the catalog holds is another now. */
  readonly changed: () => void;
}

/** What has come of a deployment on this node. Plain data. */
export interface DeployedFlow {
  readonly name: string;
  readonly hash: string;
  /** Who signed. */
  readonly key: string;
  readonly signature: string;
  /** When it was signed, and whose file it was made of. */
  readonly at: number;
  readonly file: string;
  readonly state: "loading" | "loaded" | "refused";
  /** Of one that was loaded: why no run of it can be begun. */
  readonly refusal?: Refusal["refused"];
}

/** What a node answers to "flows". */
export interface DeploymentsHere {
  /** Public keys; none: it takes no deployed flows. */
  readonly trusted: readonly string[];
  /** Of each stream that is made for it. */
  readonly replicas: 1 | 3;
  readonly flows: readonly DeployedFlow[];
  /** What flows that run may go over to. */
  readonly candidates: readonly DeployedFlow[];
  /** Flows that were undeployed; they may be stopping yet. */
  readonly undeployed: readonly { readonly name: string; readonly hash: string }[];
}

interface Standing {
  state: DeployedFlow["state"];
  refusal?: Refusal["refused"];
}

interface Entry extends Standing {
  seq: number;
  readonly data: Uint8Array;
  readonly deployment: Deployment;
  /** Of what it may go over to, by signature. */
  readonly next: ReadonlyMap<string, Standing & { readonly deployment: Deployed }>;
}

/** What failed for want of NATS is tried again after so long, in ms. */
const againMs = 1_000;
/** Flows of which the newest deployment is known here; more are refused, undeployed ones count. */
const mostFlows = 1_000;

export class DeployedFlows {
  readonly #options: DeployedFlowsOptions;
  readonly #entries = new Map<string, Entry>();
  /** What is done about a flow is done one after the other. */
  readonly #turns = new Map<string, Promise<void>>();
  readonly #stopped = new AbortController();
  readonly #feed: DeploymentFeed;

  constructor(options: DeployedFlowsOptions) {
    this.#options = options;
    this.#feed = new DeploymentFeed({ ...options, hear: (message) => this.#hear(message), heardAll: (there) => this.#writeAgain(there) });
  }

  /** @throws MillraceError UNREACHABLE, STREAM_CONFLICT */
  async start(): Promise<void> {
    await this.#feed.start();
  }

  async stop(): Promise<void> {
    this.#stopped.abort();
    await this.#feed.stop();
  }

  get report(): DeploymentsHere {
    const flows: DeployedFlow[] = [], candidates: DeployedFlow[] = [], undeployed: { name: string; hash: string }[] = [];
    for (const { deployment, state, refusal, next } of this.#entries.values()) {
      if (deployment.kind === "deployed" && this.#isDeaf) continue;
      if (deployment.kind === "undeployed") {
        undeployed.push({ name: deployment.name, hash: deployment.hash });
        continue;
      }
      flows.push(told(deployment, { state, ...(refusal === undefined ? {} : { refusal }) }));
      for (const one of next.values()) candidates.push(told(one.deployment, one));
    }
    return { trusted: [...this.#options.trusted], replicas: this.#options.replicas, flows, candidates, undeployed };
  }

  /** It was told to trust nobody. */
  get #isDeaf(): boolean {
    return this.#options.trusted.size === 0;
  }

  /** It was loaded, and no run of it can be begun. */
  refuse(flow: string, error: Error): void {
    // Nothing is wrong: this deployment has done what it was for.
    if (error instanceof MillraceError && error.code === "FLOW_FINISHED") return;
    const entry = this.#entries.get(flow);
    if (entry?.deployment.kind === "deployed") this.#refuse(flow, entry, error, entry.state);
  }

  /** Its run had been lost, and is there again. */
  found(flow: string): void {
    const entry = this.#entries.get(flow);
    if (entry?.refusal?.code === "BROKER_WENT_BACK") delete entry.refusal;
  }

  #hear({ seq, data }: Stored): void {
    let deployment: Deployment;
    try {
      deployment = decodeDeployment(data);
    } catch (thrown) {
      return this.#options.log.warn("something under mr.flow.> is refused", { reason: asError(thrown).message });
    }
    const flow = deployment.kind === "deployed" ? deployment.manifest.name : deployment.name;
    if (!this.#entries.has(flow) && this.#entries.size >= mostFlows) return this.#options.log.warn(`flow ${flow} is refused: more than ${mostFlows} were deployed`);
    const before = this.#entries.get(flow), next = deployment.kind === "deployed" ? (deployment.next ?? []) : [];
    // Read again: it says nothing new.
    if (before !== undefined && Buffer.compare(before.data, data) === 0) return void (before.seq = seq);
    const entry: Entry = { seq, data, deployment, state: "loading", next: new Map(next.map((one) => [one.signature, { deployment: one, state: "loading" }])) };
    // A refusal is about the deployment, whatever else is said beside it now.
    if (before?.refusal !== undefined && before.deployment.kind === "deployed" && deployment.kind === "deployed" && before.deployment.signature === deployment.signature && before.state === "loaded") entry.refusal = before.refusal;
    this.#entries.set(flow, entry);
    const turn = (this.#turns.get(flow) ?? Promise.resolve()).then(() => this.#take(flow, entry)).catch((thrown: unknown) => this.#refuse(flow, entry, asError(thrown)));
    this.#turns.set(flow, turn);
  }

  /** NATS lost that some are deployed. Nothing is signed anew: what a trusted key signed is written as it was, where its bundle is there and nothing else was deployed meanwhile. */
  async #writeAgain(there: ReadonlySet<number>): Promise<void> {
    const { broker, log } = this.#options;
    for (const [flow, { seq, deployment, state }] of this.#entries) {
      if (there.has(seq) || deployment.kind !== "deployed" || state !== "loaded" || this.#stopped.signal.aborted) continue;
      try {
        await readBundle(broker, deployment.manifest);
        if (await writeDeployment(broker, deployment, 0)) log.warn(`${flow}: NATS lost that it was deployed; it was written again as it was signed`, { code: "BROKER_WENT_BACK", hash: deployment.manifest.hash });
      } catch (thrown) {
        const error = asError(thrown);
        if (error instanceof MillraceError && error.code === "UNREACHABLE") throw error;
        log.error(`${flow}: NATS lost that it was deployed, and it cannot be written again; what runs of it goes on: deploy it again`, { code: "BROKER_WENT_BACK", reason: error.message });
      }
    }
  }

  async #take(flow: string, entry: Entry): Promise<void> {
    const { deployment } = entry, { catalog, changed, log, given } = this.#options;
    if (!this.#isNewest(flow, entry)) return;
    if (deployment.kind === "undeployed") {
      if (given.has(flow)) return;
      catalog.withdraw(flow, deployment.hash);
      log.info(`${flow}: undeployed`, { hash: deployment.hash });
      return changed();
    }
    if (!given.has(flow)) {
      catalog.deployed(flow, deployment.manifest.hash);
      catalog.candidates(flow, (deployment.next ?? []).map(({ manifest: { hash } }) => hash));
    }
    if (this.#isDeaf) return changed();
    const { manifest: { hash }, key, signature } = deployment, known = catalog.loaded(flow, hash, signature), loaded = known ?? (await this.#loaded(flow, entry, deployment));
    if (loaded === undefined || !this.#isNewest(flow, entry)) return;
    entry.state = "loaded";
    catalog.add(loaded);
    if (known === undefined) log.info(`${flow}: deployed code was loaded`, { hash, key });
    changed();
    for (const next of entry.next.values()) await this.#takeNext(flow, entry, next);
  }

  async #takeNext(flow: string, entry: Entry, next: Standing & { readonly deployment: Deployed }): Promise<void> {
    const { catalog, changed, log } = this.#options, { manifest: { hash }, key, signature } = next.deployment;
    try {
      const loaded = catalog.loaded(flow, hash, signature) ?? (await this.#loaded(flow, entry, next.deployment));
      if (loaded === undefined || !this.#isNewest(flow, entry)) return;
      catalog.addCandidate(loaded);
      next.state = "loaded";
      log.info(`${flow}: code was loaded that it may go over to`, { hash, key });
    } catch (thrown) {
      if (this.#stopped.signal.aborted) return;
      next.state = "refused";
      next.refusal = whyRefused(asError(thrown), flow);
      log.error(`${flow}: what it was to go over to is refused`, { code: next.refusal.code, reason: next.refusal.message });
    }
    changed();
  }

  async #loaded(flow: string, entry: Entry, deployment: Deployed): Promise<LoadedPlan | undefined> {
    const plan = await this.#load(flow, entry, deployment), { manifest: { hash, nodes, mode }, signature } = deployment;
    return plan === undefined ? undefined : { plan, code: hash, nodes, deployment: { id: signature, mode } };
  }

  /** Which deployment has that code, the flow's own or one that it may go over to. */
  deploymentOf(flow: string, hash: string): Deployed | undefined {
    const entry = this.#entries.get(flow)?.deployment;
    return entry?.kind === "deployed" ? [entry, ...(entry.next ?? [])].find(({ manifest }) => manifest.hash === hash) : undefined;
  }

  /** That code is what is deployed from now on, and nothing else is a candidate. `true`: this node has heard so. @throws MillraceError UNREACHABLE */
  async settle(flow: string, hash: string): Promise<boolean> {
    const entry = this.#entries.get(flow), deployment = this.deploymentOf(flow, hash), { broker } = this.#options;
    if (entry?.deployment.kind !== "deployed" || deployment === undefined) return false;
    if (entry.deployment === deployment && deployment.next === undefined) return true;
    const others = await otherBundles(broker, flow, hash);
    if (await writeDeployment(broker, alone(deployment), entry.seq)) await removeBundles(broker, others);
    return false;
  }

  /** `undefined`: another deployment has come in between, or the node stops. */
  async #load(flow: string, entry: Entry, { manifest, ...rest }: Deployed): Promise<FlowPlan | undefined> {
    const { broker, clock, trusted, load, admit, given, log } = this.#options;
    if (given.has(flow)) throw new MillraceError("FLOW_TWICE", flow, `This node was started with a flow "${flow}" of its own`, "Leave --flow away there, or undeploy this one: a name is one run at a time.");
    checkSignature({ manifest, ...rest }, trusted);
    for (;;) {
      try {
        const bundle = await readBundle(broker, manifest);
        if (!this.#isNewest(flow, entry)) return undefined;
        if (load === undefined) throw new MillraceError("LOADER_MISSING", flow, "This node was not told how to load what is deployed", "Start it by `millrace node`.");
        const plan = await load(bundle, manifest);
        if (plan.name !== flow) throw new MillraceError("FLOW_NAME_DIFFERS", flow, `The bundle that was signed as flow "${flow}" holds a flow "${plan.name}"`, "Deploy it again with `millrace deploy`.");
        admit(plan);
        return plan;
      } catch (thrown) {
        if (!(thrown instanceof MillraceError) || thrown.code !== "UNREACHABLE") throw thrown;
        log.debug(`${flow}: its bundle cannot be read now`, { reason: thrown.message });
      }
      await pause(againMs, { clock, signal: this.#stopped.signal });
      if (!this.#isNewest(flow, entry)) return undefined;
    }
  }

  #isNewest(flow: string, entry: Entry): boolean {
    return this.#entries.get(flow) === entry && !this.#stopped.signal.aborted;
  }

  #refuse(flow: string, entry: Entry, error: Error, state: Entry["state"] = "refused"): void {
    if (this.#stopped.signal.aborted) return;
    entry.state = state;
    entry.refusal = whyRefused(error, flow);
    const { code, message } = entry.refusal;
    this.#options.log.error(`${flow}: what was deployed is refused`, { code, reason: message });
  }
}

function told({ manifest: { name, hash, at, file }, key, signature }: Deployed, { state, refusal }: Standing): DeployedFlow {
  return { name, hash, key, signature, at, file, state, ...(refusal === undefined ? {} : { refusal }) };
}

const longest = 2_000;

function whyRefused(error: Error, flow: string): Refusal["refused"] {
  const known = error instanceof MillraceError ? error : new MillraceError("BUNDLE_FAILED", flow, error.message, "Mend the flow, undeploy this one, and deploy it again."), { refused } = refusalOf(known);
  return { ...refused, message: refused.message.slice(0, longest) };
}
