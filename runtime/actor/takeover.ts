// How a life of an actor begins: it takes the log over, recovers, and replays; what comes of it is its committer. The same path
// after a crash, a failover and an upgrade; only the length of the tail differs (DESIGN 4).
import { MillraceError } from "../event/errors.ts";
import { isBroken } from "../journal/journal.ts";
import { recover } from "../journal/recovery.ts";
import { fenced, wentBack } from "../journal/verdict.ts";
import type { Actor } from "./actor.ts";
import { Committer, type CommitterOptions } from "./committer.ts";
import { type Division, readingOf, streamName } from "./environment.ts";
import { exitOf } from "./exit.ts";
import { RecordKeeper } from "./record-keeper.ts";
import { declareSenders, hasBegun, Inheritance, isFirst } from "./inheritance.ts";
import { Replay, type Replayed } from "./replay.ts";
import { type Chunk, Snapshots } from "./snapshot.ts";

export interface TakeoverEvents extends Pick<CommitterOptions, "accepted" | "written" | "failed"> {
  readonly onClaimed: () => void;
  /** The broker does not answer. */
  readonly onWait: () => void;
}

/** Throws as `recover` does; then nothing is left open. */
export async function takeOver(actor: Actor, events: TakeoverEvents): Promise<{ readonly committer: Committer; readonly replayed: Replayed }> {
  const { env, address, stage, generation, partition, memory, signal } = actor, ahead = await actor.headStart;
  const reading = readingOf(env, env.flow.name, stage.name, generation, partition), { chunks } = reading;
  if (ahead === undefined && isFirst(actor)) declareSenders(actor);
  const recovered = await recover({ ...reading, random: env.random, node: env.node, code: env.code, signal, inherits: !isFirst(actor), ahead, onClaimed: events.onClaimed, onWait: events.onWait });
  env.log.debug("its log is claimed, its journal is whole", { actor: address, term: recovered.term[0], n: recovered.n, read: recovered.read });
  const { journal, log, term, n, k } = recovered, keeper = ahead?.keeper ?? new RecordKeeper(log.stream, journal, env.clock, env.retainMs), replay = ahead?.replay ?? new Replay(actor, keeper);
  let committer: Committer | undefined;
  try {
    const snapshots = new Snapshots(journal, chunks, () => env.broker.create({ name: streamName(chunks.subject), subject: chunks.subject, replicas: env.replicas }), env.broker.maxPayload, env.soon);
    const from = ahead !== undefined || isFirst(actor) || (await hasBegun(journal)) ? undefined : predecessor(actor), inheritance = from === undefined ? undefined : new Inheritance(actor, journal, from), inherited = inheritance && (await snapshots.begin(n, inheritance.load(), () => inheritance.body()));
    if (ahead === undefined) await replay.load(journal, inherited === undefined ? recovered.folded : { n, body: inherited });
    await replay.take(recovered.records());
    const replayed = replay.end();
    memory.tries.k = k;
    if (recovered.fellBack || ahead?.fellBack === true) keeper.demand();
    // Nobody waits for that: until then every snapshot is a base.
    else void lack(snapshots, replayed.chunks).then((isLacking) => { if (isLacking) keeper.demand(); });
    const { accepted, written, failed } = events;
    committer = new Committer({ where: address, code: env.code, term, n, log, journal, keeper, snapshots, maxPayload: env.broker.maxPayload, accepted, written, failed });
    // †Only then it reads its mailbox.
    if (inherited !== undefined) await committer.begin(inherited);
    return { committer, replayed };
  } catch (error) {
    committer?.stop();
    if (isBroken(error)) await journal.markBroken();
    await journal.store.close();
    // Who slept meanwhile does not find what it would go on from: another owner has, and it is over.
    if (exitOf(error).class === "parked" && (await log.isClaimedOver())) throw fenced(address);
    throw error;
  }
}

/** P30: whether chunks that the newest snapshot names are gone, so that only the journal holds the state. False where it cannot be said now. */
async function lack(snapshots: Snapshots, chunks: readonly Chunk[]): Promise<boolean> {
  return await snapshots.hasChunks(chunks).then((there) => !there, (error: unknown) => error instanceof MillraceError && error.code === "STREAM_MISSING");
}

/** The generation that it is to go on from. One that is over was gone on from already: then it is the own log that was lost. @throws MillraceError BROKER_WENT_BACK */
function predecessor({ env, stage, address, from }: Actor): Division {
  if (from !== undefined && env.generations?.retired(stage.name, from.generation) !== true) return from;
  throw wentBack(address, `the log of ${address} does not hold the state that it began with, and the generation before it is over`);
}
