// Begins or resumes the run of a flow (PROTOCOL 2): decides which, by compare-and-set on its key, then makes ready what its
// actors need. A crash between any two steps leaves a run that is `preparing`, which the next start replaces.
import type { Broker } from "../broker/broker.ts";
import type { Clock, Random } from "../event/clock.ts";
import { asError, MillraceError } from "../event/errors.ts";
import { fingerprintOf } from "../flow/fingerprint.ts";
import type { FlowPlan } from "../flow/plan.ts";
import { ask } from "./questions.ts";
import { changedError, choose, type RunChange, type RunMode, type Wanted } from "./run-choice.ts";
import { type KeptRun, readRun, type RunRecord, type RunState, writeRun } from "./run-record.ts";
import { checkNotBehind, checkNote, type RunNotes } from "./run-note.ts";
import { actorStreams, checkNoStreams, checkStreams, createStreams, removeStreams, type StreamOptions, streamsOf } from "./run-streams.ts";
import { newToken } from "./token.ts";

/** The fingerprint of a source must not hold up the start for longer, in ms. */
const fingerprintMs = 30_000;
const pingMs = 1_000;

export interface RunEnvironment extends StreamOptions {
  readonly broker: Broker;
  readonly clock: Clock;
  readonly random: Random;
  /** Name of the node. */
  readonly node: string;
  /** Deletes the journals of a flow but those of a run. */
  readonly removeOldJournals: (flow: string, token: string) => Promise<void>;
  readonly notes: RunNotes;
  /** Asked where something changed; `undefined`: neither. Default: nobody can be asked. */
  readonly ask?: ((change: RunChange) => Promise<"fresh" | "resume" | undefined>) | undefined;
}

/** A run of a flow that this node has. */
export class FlowRun {
  readonly #env: RunEnvironment;
  readonly #flow: string;
  /** Whether it goes on where an earlier start was interrupted. */
  readonly resumed: boolean;
  #kept: KeptRun;
  #writing: Promise<void> = Promise.resolve();

  private constructor(env: RunEnvironment, flow: string, kept: KeptRun, resumed: boolean) {
    this.#env = env;
    this.#flow = flow;
    this.#kept = kept;
    this.resumed = resumed;
  }

  get record(): RunRecord {
    return this.#kept.record;
  }

  /** A run that another node of the cluster has begun, and that this one is about to have a part of: what is here of runs before goes. @throws MillraceError BROKER_WENT_BACK, UNREACHABLE */
  static async attach(env: RunEnvironment, flow: string, kept: KeptRun): Promise<FlowRun> {
    checkNotBehind(flow, await env.notes.read(flow), kept);
    await env.removeOldJournals(flow, kept.record.token);
    await env.notes.write(flow, kept);
    return FlowRun.of(env, flow, kept);
  }

  /** A run as its key had it; by now there may be another, so nothing on this node is touched. */
  static of(env: RunEnvironment, flow: string, kept: KeptRun): FlowRun {
    return new FlowRun(env, flow, kept, true);
  }

  /**
   * @throws MillraceError RUN_CHANGED, FLOW_RUNNING (another node has it), FLOW_TAKEN (another node was faster), BROKER_WENT_BACK,
   * INPUT_UNREADABLE or what a source throws where its input is not there, UNREACHABLE, STREAM_CONFLICT
   */
  static async begin(env: RunEnvironment, plan: FlowPlan, code: string, mode: RunMode): Promise<FlowRun> {
    const kept = await readRun(env.broker.keys, plan.name);
    if (kept !== undefined) await refuseRunning(env, plan.name, kept.record);
    if (mode !== "fresh") checkNote(plan.name, await env.notes.read(plan.name), kept);
    if (mode !== "fresh" && kept === undefined) await checkNoStreams(env.broker, plan.name);
    const wanted: Wanted = { code, inputs: await inputsOf(plan, env.clock), shape: fingerprintOf(plan) };
    let choice = choose(plan.name, kept?.record, wanted, mode);
    if (choice.is === "changed") {
      const answer = await env.ask?.(choice.change);
      if (answer === undefined || (answer === "resume" && choice.change.obstacles.length > 0)) throw changedError(choice.change, answer ?? mode);
      choice = { is: answer === "fresh" ? "new" : "resume" };
    }
    return choice.is === "resume" && kept !== undefined ? await FlowRun.#resume(env, plan, kept, wanted) : await FlowRun.#fresh(env, plan, kept, wanted);
  }

  static async #resume(env: RunEnvironment, plan: FlowPlan, kept: KeptRun, wanted: Wanted): Promise<FlowRun> {
    await checkStreams(env.broker, plan.name, streamsOf(plan, kept.record, env));
    const run = new FlowRun(env, plan.name, kept, true);
    const { upgrade: _, ...before } = kept.record;
    await run.#write({ ...before, ...wanted, state: "running", node: env.node });
    return run;
  }

  static async #fresh(env: RunEnvironment, plan: FlowPlan, kept: KeptRun | undefined, wanted: Wanted): Promise<FlowRun> {
    const token = newToken(env.random), { broker } = env;
    const record: RunRecord = {
      ...wanted, token, state: "preparing", node: env.node, startedAt: env.clock.now(),
      stages: plan.stages.map(({ name, parallelism }) => ({ name, generation: `${token}-1`, parallelism })),
    };
    // Before the key is this run's: who stands still after that must not take the streams of a newer one for old.
    const old = await actorStreams(broker, plan.name), written = await writeRun(broker.keys, plan.name, record, kept?.revision ?? 0);
    if (written === undefined) throw taken(plan.name);
    await env.notes.write(plan.name, written);
    const run = new FlowRun(env, plan.name, written, false);
    await removeStreams(broker, old);
    await env.removeOldJournals(plan.name, token);
    await createStreams(broker, streamsOf(plan, record, env));
    await run.#write({ ...record, state: "running" });
    return run;
  }

  /** @throws MillraceError FLOW_TAKEN where the key is no longer this node's, UNREACHABLE */
  async mark(state: RunState): Promise<void> {
    await this.#write((record) => ({ ...record, state }));
  }

  /** Changes the run, by compare-and-set; gives what it is now. @throws as `mark` */
  async change(to: (record: RunRecord) => RunRecord): Promise<RunRecord> {
    await this.#write(to);
    return this.record;
  }

  /** Of a run that several nodes have: looks what its key says now; whether that is another than before. @throws MillraceError BROKER_WENT_BACK, UNREACHABLE */
  refresh(): Promise<boolean> {
    const read = this.#writing.then(async () => {
      const kept = await readRun(this.#env.broker.keys, this.#flow);
      // Another run: whoever placed this one notices.
      if (kept === undefined || kept.record.token !== this.record.token || kept.revision <= this.#kept.revision) return false;
      checkNotBehind(this.#flow, { state: this.record.state, record: this.record }, kept);
      this.#kept = kept;
      await this.#env.notes.write(this.#flow, kept);
      return true;
    });
    this.#writing = read.then(() => {}, () => {});
    return read;
  }

  /** Of the key, as it was read or written last. */
  get revision(): number {
    return this.#kept.revision;
  }

  /** Whether the flow is still this node's: whether its key is as this node wrote it. @throws MillraceError UNREACHABLE */
  isHeld(): Promise<boolean> {
    const held = this.#writing.then(async () => (await readRun(this.#env.broker.keys, this.#flow))?.revision === this.#kept.revision);
    this.#writing = held.then(() => {}, () => {});
    return held;
  }

  // One write after the other: each expects what the one before it wrote.
  #write(to: RunRecord | ((record: RunRecord) => RunRecord)): Promise<void> {
    const written = this.#writing.then(() => this.#writeNow(typeof to === "function" ? to(this.record) : to));
    this.#writing = written.catch(() => {});
    return written;
  }

  async #writeNow(record: RunRecord): Promise<void> {
    const written = await writeRun(this.#env.broker.keys, this.#flow, record, this.#kept.revision);
    if (written === undefined) throw taken(this.#flow);
    this.#kept = written;
    await this.#env.notes.write(this.#flow, written);
  }
}

const taken = (flow: string): MillraceError => new MillraceError("FLOW_TAKEN", flow, `Another node has just started flow "${flow}"`, "Leave it to that one; `millrace tree` shows it.");

/** One that was killed does not answer. One that is cut off does not, either: its actors are fenced by the claims of this node's. */
export async function refuseRunning({ broker, node }: Pick<RunEnvironment, "broker" | "node">, flow: string, record: RunRecord): Promise<void> {
  if (record.node === node || record.state === "finished" || record.state === "stopped") return;
  try {
    await ask(broker, record.node, { what: "ping" }, pingMs);
  } catch (error) {
    if (error instanceof MillraceError && ["NOT_FOUND", "UNREACHABLE"].includes(error.code)) return;
    throw error;
  }
  throw new MillraceError("FLOW_RUNNING", flow, `Flow "${flow}" runs on node ${record.node}`, "Stop it there first, or leave it to that node.");
}

/** Fingerprints of what the sources read. @throws MillraceError INPUT_UNREADABLE, or what a source throws */
export async function inputsOf(plan: FlowPlan, clock: Clock): Promise<RunRecord["inputs"]> {
  const inputs: { stage: string; fingerprint: string }[] = [];
  for (const stage of plan.stages) {
    if (stage.kind !== "source" || stage.source.guarantee !== "replayable" || stage.source.fingerprint === undefined) continue;
    inputs.push({ stage: stage.name, fingerprint: await fingerprint(`${plan.name}/${stage.name}`, stage.source.fingerprint, clock) });
  }
  return inputs;
}

async function fingerprint(where: string, take: () => Promise<string>, clock: Clock): Promise<string> {
  let cancel = (): void => {};
  const late = new Promise<never>((_, reject) => {
    cancel = clock.after(fingerprintMs, () => reject(new Error(`no answer within ${fingerprintMs} ms`)));
  });
  try {
    return await Promise.race([take(), late]);
  } catch (thrown) {
    if (thrown instanceof MillraceError) throw thrown;
    throw new MillraceError("INPUT_UNREADABLE", where, `What source ${where} reads cannot be looked at: ${asError(thrown).message}`, "See that it is there and can be read, then start again.", { cause: thrown });
  } finally {
    cancel();
  }
}
