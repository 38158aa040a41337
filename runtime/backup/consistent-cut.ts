// A copy of a flow that is one state of it, taken while it runs and without holding it up.
//
// What a copy must be. The stated commit is, of each actor, a record in its log; what is copied must be a state that a kill of all nodes could
// have left behind, with these as the newest records. Then the protocol's own recovery goes on from it exactly once. That is so if
//   (a) no reader's log has taken a frame of a record that its sender's copied log does not hold;
//   (b) no mailbox, and no chain of dead letters, holds a frame of such a record (I2): its sender decides that record anew;
//   (c) each frame after a reader's cursor (of a sink whose batch is not known to be written: after where the batch begins) is in the copied
//       mailbox, or in the sender's copied log, not settled, which sends it again (P12);
//   (d) each log has what replay needs: the records since the newest snapshot that it names, and that one's chunks (P22, P24).
//
// How. The streams have no common moment, so the order makes it:
//   1. the flow's key: no stage may be about to be scaled (its generations would change under the copy), nor at the end;
//   2. the stages, readers before those who feed them. Of each: its mailboxes are followed from here on; when what is there is caught, its logs
//      are copied, each up to its end of that moment. A sender's log is copied after its readers' logs, so it holds all that they have taken,
//      since nothing is sent before its record (P7): (a). A log that was purged while it was read is read again, later, which is as good: (d);
//   3. when all who feed a stage are copied its mailboxes are caught up to their end and let go of. A frame that counts as settled in a
//      copied log is stored by then. It was trimmed only after its reader committed beyond it (I6): if before the reader's log was copied, the
//      reader has it; if after, it was in the mailbox while that was followed: (c). Unless the trim overtook the reading: the run of
//      messages that was caught is then broken behind the reader's position, which is seen, and all begins again, at most five times;
//   4. frames of records beyond the commit are left out: (b). Each channel is then counted through, cursor to settled.
// Where nothing was left out of a mailbox, as always when the flow stands still, it is restored number by number. Else its messages are counted
// anew, and a claim behind the copied logs says so, as a repair does (claim.ts). No actor is paused: the copy reads, the flow does not wait.
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { deadStream, streamName, subjectsOf } from "../actor/environment.ts";
import type { Broker } from "../broker/broker.ts";
import type { Clock, Random } from "../event/clock.ts";
import { MillraceError } from "../event/errors.ts";
import { bounded } from "../node/bounded.ts";
import { readRun, type RunRecord } from "../node/run-record.ts";
import { storyStream } from "../node/story.ts";
import { type ActorCopy, closeLog, copyActor, type CopyPlace, overtaken } from "./actor-copy.ts";
import { copyChains } from "./chain-copy.ts";
import { claimOf } from "./claim.ts";
import { type CaughtMailbox, copyMailbox, senderId } from "./mailbox-copy.ts";
import { MailboxSpool } from "./mailbox-spool.ts";
import { copyBundles, readEntry } from "./deployment-copy.ts";
import type { FlowManifest, StreamManifest } from "./manifest.ts";
import { sinksOf } from "./sink-need.ts";
import { type Place, type StagePlaces, stagesOf } from "./stage-places.ts";

const logsAtOnce = 8, mailboxesAtOnce = 64, tries = 5;
/** NATS is waited for so long before it begins again, and longer each time. In ms. */
const awayMs = 2_000;

export interface CutOptions {
  readonly broker: Broker;
  readonly clock: Clock;
  readonly random: Random;
  /** Of the whole backup. */
  readonly folder: string;
  /** Where a sink writes, for people; `{partition}` stands for the actor's number. */
  readonly target: (stage: string) => string | undefined;
  readonly wrote: (bytes: number) => void;
  /** It begins again: why. */
  readonly again: (why: string) => void;
  /** Called after each step that has copied something. For tests. */
  readonly step?: ((what: string) => void | Promise<void>) | undefined;
}

/**
 * @throws MillraceError RUN_UNKNOWN, RUN_PREPARING, SCALE_UNDER_WAY, BACKUP_OVERTAKEN, BROKER_WENT_BACK where the flow is not whole,
 *   UNREACHABLE, and what a newer version left
 */
export async function cutOf(flow: string, options: CutOptions): Promise<FlowManifest> {
  let stood: string | undefined;
  for (let attempt = 1; ; attempt++) {
    const folder = join(options.folder, flow);
    await rm(folder, { recursive: true, force: true });
    await mkdir(folder, { recursive: true });
    await using cut = new Cut(flow, options);
    try {
      return await cut.take();
    } catch (error) {
      // A generation that was retired meanwhile takes its streams with it; a server that was lost is replaced by another one.
      if (!(error instanceof MillraceError) || !["BACKUP_OVERTAKEN", "STREAM_MISSING", "UNREACHABLE"].includes(error.code) || attempt === tries) throw error;
      if (error.code === "UNREACHABLE") await new Promise<void>((done) => void options.clock.after(awayMs * attempt, done));
      // Nothing of it has moved since the last time: nobody was faster, something is gone.
      else if (cut.ends === stood) throw new MillraceError("BROKER_WENT_BACK", error.where, `Flow "${flow}" is not whole: ${error.message}`, "`millrace doctor` tells what is behind what, `millrace repair` brings back what the journals hold; then make the backup.", { cause: error });
      if (error.code !== "UNREACHABLE") stood = cut.ends;
      options.again(error.message);
    }
  }
}

class Cut implements AsyncDisposable {
  readonly #flow: string;
  readonly #options: CutOptions;
  readonly #to: CopyPlace;
  readonly #spools = new Map<string, { readonly spool: MailboxSpool; readonly stage: StagePlaces; readonly input: number; readonly reader: string; caught?: CaughtMailbox }>();
  /** By address and generation. */
  readonly #copies = new Map<string, ActorCopy>();

  constructor(flow: string, options: CutOptions) {
    const { broker, folder, wrote } = options;
    this.#flow = flow;
    this.#options = options;
    this.#to = { broker, wrote, file: (stream) => ({ file: `${flow}/${stream}.stream`, path: join(folder, flow, `${stream}.stream`) }) };
  }

  async take(): Promise<FlowManifest> {
    const { broker, step, target } = this.#options, run = await this.#run(), deployment = await readEntry(broker, this.#flow), bundles = deployment === undefined ? [] : await copyBundles(this.#flow, this.#to), streams = await broker.list(`mr_actor_${this.#flow}_`), done = new Set<string>(), stages = stagesOf(this.#flow, run);
    for (const stage of stages) {
      const { name, places } = stage;
      await bounded(this.#mailboxes(streams, places), mailboxesAtOnce, ({ place, input, stream }) => this.#follow(stage, place, input, stream));
      await step?.(`mailboxes of ${name}`);
      // Of a stage that is being scaled the new actors read what the old ones sealed: they come first.
      for (const of of [places.filter(({ isNew }) => isNew), places.filter(({ isNew }) => !isNew)]) await bounded(of, logsAtOnce, (place) => this.#log(place));
      done.add(name);
      await step?.(`logs of ${name}`);
      for (const spool of this.#spools.values()) if (spool.caught === undefined && spool.stage.feeders.every((feeder) => done.has(feeder))) await this.#caught(spool);
    }
    await step?.("all mailboxes");
    const files = await this.#files(), claimed = new Map(files.map(({ spec, last }) => [spec.name, last]));
    await this.#stillSo(run);
    if (JSON.stringify(await readEntry(broker, this.#flow)) !== JSON.stringify(deployment)) throw overtaken(this.#flow, "it was deployed anew");
    const copies = [...this.#copies.values()].sort((a, b) => a.address.localeCompare(b.address, "en", { numeric: true }));
    return {
      flow: this.#flow, run, streams: [...files, ...bundles], ...(deployment === undefined ? {} : { deployment }), sinks: sinksOf(copies, new Map(run.shape.stages.map(({ name, parts }) => [name, parts[0] ?? ""])), target),
      actors: copies.map(({ address, generation, whole, log, spec }) => ({ actor: address, generation, commit: whole, sequence: log.last, claimed: claimed.get(spec.name) !== log.last })),
    };
  }

  async #run(): Promise<RunRecord> {
    const flow = this.#flow, kept = await readRun(this.#options.broker.keys, flow);
    if (kept === undefined) throw new MillraceError("RUN_UNKNOWN", flow, `The server knows no run of flow "${flow}"`, "`millrace doctor` names the flows that are there.");
    if (kept.record.state === "preparing") throw new MillraceError("RUN_PREPARING", flow, `Run ${kept.record.token} of flow "${flow}" is just being made`, "Nothing has happened in it yet; ask again in a moment.");
    return kept.record;
  }

  /** The run is the one that it was, and nothing of it was scaled meanwhile. */
  async #stillSo(run: RunRecord): Promise<void> {
    const now = await this.#run(), same = (of: RunRecord): string => JSON.stringify([of.token, of.stages, of.change]);
    if (same(now) !== same(run)) throw overtaken(this.#flow, "it was scaled, or began another run");
    if (run.change === undefined) return;
    for (const { log, spec } of this.#copies.values()) {
      if ((await this.#options.broker.stream(spec.name, spec.subject).bounds()).last > log.last) throw new MillraceError("SCALE_UNDER_WAY", `${this.#flow}/${run.change.stage}`, `Stage "${run.change.stage}" is being scaled while the flow runs`, "Wait until that is done (millrace scale --why), or stop the flow; then ask again.");
    }
  }

  #mailboxes(streams: readonly string[], places: readonly Place[]): readonly { readonly place: Place; readonly input: number; readonly stream: string }[] {
    return places.flatMap((place) => {
      const prefix = `${streamName(subjectsOf(this.#flow, place.stage, place.generation, place.partition).log).slice(0, -"log".length)}in_`;
      return streams.filter((name) => name.startsWith(prefix)).map((stream) => ({ place, input: Number(stream.slice(prefix.length)), stream }));
    });
  }

  async #follow(stage: StagePlaces, { generation, partition }: Place, input: number, stream: string): Promise<void> {
    const { broker, clock, folder } = this.#options, spec = await broker.describe(stream);
    if (spec === undefined) throw overtaken(stream, "a mailbox went while it was looked at");
    this.#spools.set(stream, { spool: await MailboxSpool.open(broker, clock, spec, join(folder, this.#flow, `${stream}.spool`)), stage, input, reader: senderId(`${this.#flow}/${stage.name}/${partition}`, generation) });
  }

  async #log(place: Place): Promise<void> {
    const copy = await copyActor(place, this.#to);
    // The streams of a generation that is to come may not be made yet, those of the old one may be gone.
    if (copy !== undefined) this.#copies.set(senderId(copy.address, copy.generation), copy);
    else if (!place.mayLack) throw new MillraceError("BROKER_WENT_BACK", `${this.#flow}/${place.stage}/${place.partition}`, "Its log is not there", "`millrace doctor` tells what is missing, `millrace repair` brings back what the journals hold; then make the backup.");
  }

  async #caught(its: { readonly spool: MailboxSpool; caught?: CaughtMailbox }): Promise<void> {
    await its.spool.reachEnd();
    await its.spool.close();
    its.caught = { spec: its.spool.spec, path: its.spool.path, held: its.spool.held };
  }

  async #files(): Promise<readonly StreamManifest[]> {
    const { broker, random } = this.#options, files: StreamManifest[] = [], anew = new Set<string>();
    const add = (its: StreamManifest): void => { files.push(its); if (!its.verbatim) anew.add(its.spec.name); };
    for (const { caught, reader, input, stage } of this.#spools.values()) {
      const copy = this.#copies.get(reader);
      if (copy !== undefined && caught !== undefined) add(await copyMailbox(caught, copy, input, stage.order, this.#copies, this.#to));
      if (caught !== undefined) await rm(caught.path);
    }
    for (const [name, senders] of [[deadStream(this.#flow), this.#copies], [storyStream(this.#flow), undefined]] as const) {
      const spec = await broker.describe(name);
      if (spec !== undefined) add(await copyChains(spec, senders, this.#to));
    }
    for (const copy of this.#copies.values()) {
      files.push(await closeLog(copy, claimOf(copy, anew, deadStream(this.#flow), random), this.#to));
      if (copy.chunks !== undefined) files.push(copy.chunks);
    }
    return files;
  }

  /** Where the logs that were copied end. */
  get ends(): string {
    return JSON.stringify([...this.#copies].map(([id, { log }]) => [id, log.last]).sort());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { spool } of this.#spools.values()) await spool.close();
    for (const { writer } of this.#copies.values()) await writer.abandon();
  }
}
