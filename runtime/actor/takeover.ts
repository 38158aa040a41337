// How a life of an actor begins: it takes the log over, recovers, and replays; what comes of it is its committer. The same path
// after a crash, a failover and an upgrade; only the length of the tail differs (DESIGN 4).
import { MillraceError } from "../event/errors.ts";
import { isBroken } from "../journal/journal.ts";
import { recover } from "../journal/recovery.ts";
import type { Actor } from "./actor.ts";
import { Committer, type CommitterOptions } from "./committer.ts";
import { streamName, subjectsOf } from "./environment.ts";
import { RecordKeeper } from "./record-keeper.ts";
import { replay, type Replayed } from "./replay.ts";
import { type Chunk, Snapshots } from "./snapshot.ts";

export interface TakeoverEvents extends Pick<CommitterOptions, "accepted" | "written" | "failed"> {
  readonly onClaimed: () => void;
  /** The broker does not answer. */
  readonly onWait: () => void;
}

/** Throws as `recover` does; then nothing is left open. */
export async function takeOver(actor: Actor, events: TakeoverEvents): Promise<{ readonly committer: Committer; readonly replayed: Replayed }> {
  const { env, address, stage, generation, partition, memory, signal } = actor;
  const subjects = subjectsOf(env.flow.name, stage.name, generation, partition), chunks = env.broker.stream(streamName(subjects.chunks), subjects.chunks);
  declareSenders(actor);
  const recovered = await recover({
    where: address, log: env.broker.stream(streamName(subjects.log), subjects.log), chunks, stores: env.stores, store: `${env.flow.name}/${stage.name}/${generation}/${partition}`,
    random: env.random, node: env.node, code: env.code, clock: env.clock, signal, onClaimed: events.onClaimed, onWait: events.onWait,
  });
  const { journal, log, term, n, k } = recovered, keeper = new RecordKeeper(log.stream, journal, env.clock, env.retainMs);
  try {
    const replayed = await replay(actor, recovered, keeper);
    memory.tries.k = k;
    const snapshots = new Snapshots(journal, chunks, () => env.broker.create({ name: streamName(subjects.chunks), subject: subjects.chunks, replicas: env.replicas }), env.broker.maxPayload);
    if (recovered.fellBack || (await lack(snapshots, replayed.chunks))) keeper.demand();
    const { accepted, written, failed } = events;
    return { committer: new Committer({ where: address, code: env.code, term, n, log, journal, keeper, snapshots, maxPayload: env.broker.maxPayload, accepted, written, failed }), replayed };
  } catch (error) {
    if (isBroken(error)) await journal.markBroken();
    await journal.store.close();
    throw error;
  }
}

/** P30: whether chunks that the newest snapshot names are gone, so that only the journal holds the state. False where it cannot be said now. */
async function lack(snapshots: Snapshots, chunks: readonly Chunk[]): Promise<boolean> {
  return await snapshots.hasChunks(chunks).then((there) => !there, (error: unknown) => error instanceof MillraceError && error.code === "STREAM_MISSING");
}

/** All actors of all stages that feed it: until they have ended it waits for them, also for those not heard of yet†. */
function declareSenders({ env, stage, memory }: Actor): void {
  for (const { from, input } of stage.inputs) {
    const { generation, count } = env.division(from);
    for (let p = 0; p < count; p++) memory.inbound.declare(input, `${env.flow.name}/${from}/${p}`, generation);
  }
}
