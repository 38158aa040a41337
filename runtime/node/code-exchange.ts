// Actors of this node go over to another code of their flow, each in order where it is: the old life drains and commits `stop`, the new one claims
// the log under the other code (P5) and goes on from it. All that can fail before is done before.
import type { NodeFlow } from "../cluster/node-record.ts";
import type { FlowSeats } from "../cluster/placement-record.ts";
import type { FailedSeat } from "../cluster/upgrade.ts";
import { asError, MillraceError } from "../event/errors.ts";
import { fingerprintOf } from "../flow/fingerprint.ts";
import type { StagePlan } from "../flow/plan.ts";
import type { Child } from "../supervision/child.ts";
import type { TreeNode } from "../supervision/tree.ts";
import type { FlowCatalog, LoadedPlan } from "./flow-catalog.ts";
import type { HostedActor } from "./hosted-actor.ts";
import type { HostedFlow, HostEnvironment } from "./hosted-flow.ts";
import type { MoveLedger } from "./move-ledger.ts";
import type { RunningNode } from "./node.ts";
import { inputsOf } from "./run.ts";
import { readRun, writeRun } from "./run-record.ts";
import { Trial } from "./trial.ts";
import { treeAt } from "./tree-place.ts";
import { checkUpgrade, refusedUpgrade } from "./upgrade-check.ts";

export interface CodeExchangeOptions {
  readonly node: RunningNode;
  readonly host: HostEnvironment;
  readonly catalog: FlowCatalog;
  readonly moves: MoveLedger;
  /** As it is placed. */
  readonly seats: (flow: string) => FlowSeats | undefined;
  /** What the node tells of it is another now. */
  readonly changed: () => void;
  /** What runs here, or was tried to. */
  readonly running: (flow: string) => readonly { readonly actor: string; readonly since: number; readonly code: string }[];
}

/** So often the flow's key is tried, where others write it, too. */
const tries = 10;
const mostMessage = 1_000;
/** An actor that has gone over is looked at for so long before it counts as at work, in ms: code that fails at the first events fails within that. */
const steadyMs = 500;
/** And one that failed, and was started again, for so long. */
const calmMs = 10_000;

export class CodeExchange {
  readonly #options: CodeExchangeOptions;
  readonly #trials = new Map<string, Trial<Child>>();
  /** When actors have gone over, by address. Monotonic ms. */
  readonly #wentOver = new Map<string, number>();
  /** Those that could not be begun with another code, by address. */
  readonly #refused = new Map<string, FailedSeat & { readonly to: string }>();

  constructor(options: CodeExchangeOptions) {
    this.#options = options;
  }

  /** What is to be supervised: on trial, as long as its code is another than the flow's. */
  child(flow: HostedFlow, actor: HostedActor): Child {
    const { clock } = this.#options.host;
    this.#trials.delete(actor.address);
    if (actor.code === flow.code) return actor.child;
    const trial = new Trial<Child>(actor.child, actor.stage, () => clock.monotonic(), () => flow.code === actor.code);
    this.#trials.set(actor.address, trial);
    return trial;
  }

  /** The actor with that code, which does not run. @throws MillraceError CODE_MISSING, UPGRADE_REFUSED */
  async make(flow: HostedFlow, before: HostedActor, code: string): Promise<HostedActor> {
    if (before.code === code) return before;
    const loaded = await this.#prepare(flow, before.stage.name, code);
    if (treeAt(this.#options.node.root, before.address) !== undefined) await this.#options.node.root.remove(before.address);
    await before.closed();
    return flow.exchange(before, loaded);
  }

  /** As Hosting.exchange. */
  async exchange(flow: HostedFlow, address: string, code: string, since: number): Promise<void> {
    const { node: { root, name }, host: { clock }, moves } = this.#options, before = flow.actors.get(address);
    if (before === undefined) throw new MillraceError("NOT_FOUND", address, "There is no such actor", "It is tried again in a moment.");
    if (before.code === code) {
      this.#refused.delete(address);
      if (treeAt(root, address)?.state === "parked") await root.unpark(address);
      return;
    }
    const loaded = await this.#prepared(flow, before, code, since);
    // Its whole flow may be parked here: an actor below one that does not run cannot be ordered about.
    if (treeAt(root, flow.name)?.state === "parked") await root.unpark(flow.name);
    const askedAt = clock.monotonic();
    await root.remove(address);
    await before.closed();
    moves.departed(before, since);
    const after = flow.exchange(before, loaded), arrived = moves.arriving(after, { from: name, since, askedAt, before: moves.departure(address, since) });
    await root.add(address.slice(0, address.lastIndexOf("/")), { kind: "actor", child: this.child(flow, after) });
    arrived();
    this.#wentOver.set(address, clock.monotonic());
    clock.after(steadyMs, this.#options.changed);
  }

  /** For the heartbeat, of a flow that is being upgraded: who works with that code here, and who will not. */
  figures(flow: string, code: string): Pick<NodeFlow, "up" | "failed"> {
    const { node: { root }, seats, running } = this.#options;
    const upgrade = seats(flow)?.upgrade;
    if (upgrade === undefined) return {};
    const now = this.#options.host.clock.monotonic(), up: Record<string, number> = {}, failed: FailedSeat[] = [...this.#refused.values()].filter((one) => one.to === code && one.actor.startsWith(`${flow}/`)).map(({ to: _, ...one }) => one);
    for (const one of running(flow)) {
      const at = one.code === code ? treeAt(root, one.actor) : undefined;
      // Who has not gone over, nobody waits for.
      if (one.since <= upgrade.since) continue;
      if (at?.state === "parked") failed.push({ actor: one.actor, since: one.since, ...whyOf(at) });
      else if (at !== undefined && now - (this.#wentOver.get(one.actor) ?? -Infinity) >= steadyMs && now - (this.#trials.get(one.actor)?.calmSince ?? -Infinity) >= calmMs && (at.state.startsWith("running") || at.state === "ended")) up[one.actor] = one.since;
    }
    return { up, ...(failed.length === 0 ? {} : { failed }) };
  }

  /** A record changed: flows that were upgraded as a whole, and refusals that are over. */
  follow(flows: Iterable<HostedFlow>): void {
    for (const flow of flows) {
      const seats = this.#options.seats(flow.name);
      if (seats === undefined || seats.run !== flow.run.record.token) continue;
      if (seats.code !== flow.code) this.#upgraded(flow, seats.code);
      if (seats.upgrade === undefined) for (const known of [this.#refused, this.#wentOver, this.#trials]) for (const actor of [...known.keys()]) if (actor.startsWith(`${flow.name}/`)) known.delete(actor);
    }
  }

  /** A node that has none of its actors may not have that code, or not yet: then it is looked at again with the next record. */
  #upgraded(flow: HostedFlow, code: string): void {
    const { catalog, node: { root, log } } = this.#options;
    if (!catalog.has(flow.name, code)) return log.debug("an upgraded flow is open here, and its code is not loaded", { flow: flow.name, code });
    const loaded = catalog.flow(flow.name, code);
    flow.upgraded(loaded);
    root.replan(loaded.plan);
  }

  async #prepared(flow: HostedFlow, { address, stage, code: kept }: HostedActor, code: string, since: number): Promise<LoadedPlan> {
    try {
      const loaded = await this.#prepare(flow, stage.name, code);
      this.#refused.delete(address);
      return loaded;
    } catch (thrown) {
      const error = asError(thrown), known = error instanceof MillraceError ? error.code : "UPGRADE_REFUSED";
      // What is only down is no answer.
      if (known !== "UNREACHABLE") this.#refused.set(address, { actor: address, since, kept, to: code, code: known, message: cause(error.message, known) });
      throw error;
    }
  }

  async #prepare(flow: HostedFlow, name: string, code: string): Promise<LoadedPlan> {
    const { catalog, host } = this.#options, loaded = catalog.flow(flow.name, code), { plan } = loaded;
    const record = code === flow.code ? (await readRun(host.broker.keys, flow.name))?.record : await this.#note(flow, loaded), stage = plan.stages.find((its) => its.name === name) as StagePlan;
    host.isolation?.(plan);
    const before = record?.inputs.find((its) => its.stage === name)?.fingerprint, now = before === undefined ? undefined : (await inputsOf({ ...plan, stages: [stage] }, host.clock))[0]?.fingerprint;
    if (before !== now) throw refusedUpgrade(flow.name, [`source ${name}: what it reads is another or was changed`]);
    return loaded;
  }

  /** Before the first actor has it: from here on the run is known to have state of that shape. @throws MillraceError UPGRADE_REFUSED, UNREACHABLE */
  async #note({ name, run }: HostedFlow, { plan, code }: LoadedPlan) {
    const { keys } = this.#options.host.broker, shape = fingerprintOf(plan);
    for (let attempt = 0; attempt < tries; attempt++) {
      const kept = await readRun(keys, name);
      if (kept === undefined || kept.record.token !== run.record.token) throw new MillraceError("RUN_MISSING", name, `Run ${run.record.token} of flow "${name}" is not the one that its key tells of`, "It is looked at again in a moment; `millrace doctor` tells which runs there are.");
      if (kept.record.upgrade?.to === code || kept.record.code === code) return kept.record;
      checkUpgrade(name, kept.record, shape);
      const record = { ...kept.record, upgrade: { to: code, shape } };
      if ((await writeRun(keys, name, record, kept.revision)) !== undefined) return record;
    }
    throw new MillraceError("UNREACHABLE", name, `The key of flow "${name}" is written by many`, "It is tried again in a moment.");
  }
}

/** A MillraceError's message holds its code and what to do, too: here only what happened. */
function cause(message: string, code: string): string {
  const at = message.indexOf(` (${code}, `);
  return message.slice(0, Math.min(at < 0 ? message.length : at, mostMessage));
}

function whyOf({ why }: TreeNode): { readonly code: string; readonly message: string } {
  const code = why?.code ?? "PARKED", message = why?.message ?? "it is parked";
  return { code, message: cause(message, code) };
}
