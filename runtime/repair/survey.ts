// A flow after a loss: what the broker holds of it against the journals, and against itself (P30). What is behind what, and whether a
// repair brings it back. Changes nothing; the flow must not run meanwhile.
import { deadStream, streamName, subjectsOf } from "../actor/environment.ts";
import { sameTerm } from "../event/term.ts";
import type { Broker } from "../broker/broker.ts";
import { decodeMessage } from "../event/frame.ts";
import type { RunNotes } from "../node/run-note.ts";
import { StageGenerations } from "../node/stage-generations.ts";
import type { RunRecord } from "../node/run-record.ts";
import { type ActorLook, type ActorPlace, lookAt } from "./actor-look.ts";
import { type Channels, type Gap, gapsOf, Mailboxes } from "./channel-gap.ts";
import { type Compared, type NodeJournals, restores } from "./journal-copy.ts";
import { findRun, type FoundRun } from "./run-key.ts";

export interface SurveyOptions {
  readonly broker: Broker;
  /** Of all nodes that can be asked; of a node that is away none. Empty: the broker is compared with itself alone. */
  readonly journals: readonly NodeJournals[];
  /** Of this data folder, and of the nodes that were asked. */
  readonly notes?: Pick<RunNotes, "read">;
}

/** Something that the broker lost. */
export interface Behind {
  /** An actor's address, with its generation where its stage is being scaled to that; or the flow's name. */
  readonly about: string;
  readonly what: "run" | "log" | "mailbox" | "sent" | "frames" | "history" | "snapshot" | "journal";
  /** A sentence, what is behind what. */
  readonly says: string;
  /** Whether a repair makes that good. Of a `snapshot`: the next start does. */
  readonly mends: boolean;
}

export interface Survey extends AsyncDisposable {
  readonly flow: string;
  readonly run: FoundRun;
  /** By address; of a stage that is being scaled those of both generations, the one to come by address and generation. */
  readonly actors: ReadonlyMap<string, ActorLook>;
  readonly gaps: readonly Gap[];
  /** Streams of the flow that are not there. */
  readonly missing: readonly string[];
  readonly behind: readonly Behind[];
  /** Actors of which no journal that was asked is of the newest owner: whether records at the end of their logs are lost cannot be told. */
  readonly unseen: readonly { readonly actor: string; readonly node: string | undefined }[];
}

/**
 * `undefined`: no run of such a flow is known. Dispose of it: it holds the journals open.
 * @throws MillraceError RUN_LOST, JOURNAL_LOCKED while a node uses them, UNREACHABLE, and what a newer version left (RUN_NEWER, RECORD_NEWER, JOURNAL_NEWER)
 */
export async function survey(flow: string, { broker, journals, notes }: SurveyOptions): Promise<Survey | undefined> {
  const run = await findRun(broker, notes, flow);
  if (run === undefined) return undefined;
  const streams = new Set(await broker.list("mr_")), actors = new Map<string, ActorLook>(), kinds = new Map(run.record.shape.stages.map(({ name, kind }) => [name, kind]));
  const stages = new Map(run.record.stages.map(({ name, parallelism }) => [name, new StageGenerations(run.record, name, parallelism)])), isRetired = (stage: string, generation: string): boolean => stages.get(stage)?.isRetired(generation) === true;
  const close = async (): Promise<void> => { for (const { journals } of actors.values()) for (const { copy } of journals) await copy.close(); };
  try {
    for (const place of placesOf(flow, run.record)) {
      const look = await lookAt({ ...place, kind: kinds.get(place.stage) ?? "processor" }, { broker, journals, streams, isRetired });
      actors.set(look.id, look);
    }
    const gaps: Gap[] = [], byPlace = new Map([...actors.values()].map((look) => [`${look.stage}/${look.generation}/${look.partition}`, look])), channels: Channels = {
      reader: (stage, generation, partition) => byPlace.get(`${stage}/${generation}/${partition}`), readers: [...actors.values()], chainEnd: (subject) => chainEnd(broker, streams, flow, subject), mailboxes: new Mailboxes(),
    };
    for (const look of actors.values()) gaps.push(...(await gapsOf(look, channels)));
    const missing = missingOf(flow, run, actors, streams), looks = [...actors.values()];
    return {
      flow, run, actors, gaps, missing, behind: [...runBehind(flow, run), ...looks.flatMap(actorBehind), ...sealsBehind(looks, run.record), ...gaps.map(gapBehind)],
      unseen: looks.filter(isUnseen).map(({ id, history: { owner } }) => ({ actor: id, node: owner?.node })), [Symbol.asyncDispose]: close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Of a stage that is being scaled both generations. */
function placesOf(flow: string, { state, stages, change }: RunRecord): readonly Omit<ActorPlace, "kind">[] {
  if (state === "preparing") return [];
  const all = (stage: string, generation: string, parallelism: number, isNext: boolean) => Array.from({ length: parallelism }, (_, partition) => ({ flow, stage, generation, partition, isNext }));
  return stages.flatMap(({ name, generation, parallelism }) => [...all(name, generation, parallelism, false), ...(change?.stage === name ? all(name, change.generation, change.parallelism, true) : [])]);
}

/** What is only in the log of an owner's term was sent, and acted upon, when it was in that owner's journal, not before. */
function isUnseen({ history, journals }: ActorLook): boolean {
  return !history.isEmpty && !journals.some((its) => restores(its) || (its.standing.is === "same" && sameTerm(its.copy.term, history.owner?.term)));
}

async function chainEnd(broker: Broker, streams: ReadonlySet<string>, flow: string, subject: string): Promise<number> {
  if (!streams.has(deadStream(flow))) return 0;
  const last = await broker.stream(deadStream(flow), subject).last();
  return last === undefined ? 0 : decodeMessage(last.data).seq;
}

function missingOf(flow: string, { record }: FoundRun, actors: ReadonlyMap<string, ActorLook>, streams: ReadonlySet<string>): readonly string[] {
  const wanted = [...actors.values()].flatMap(({ stage, generation, partition, kind, inputs }) => {
    const subjects = subjectsOf(flow, stage, generation, partition);
    return [streamName(subjects.log), ...(kind === "source" ? [] : inputs.map(({ input }) => streamName(subjects.mailbox(input))))];
  });
  return record.state === "preparing" ? [] : [...wanted, deadStream(flow)].filter((name) => !streams.has(name));
}

function runBehind(flow: string, { record, kept, isBehind }: FoundRun): readonly Behind[] {
  if (!isBehind) return [];
  return [{ about: flow, what: "run", says: `the server knows ${kept === undefined ? "no run of it" : `run ${kept.record.token}, ${kept.record.state}`}; this data folder has run ${record.token}, ${record.state}`, mends: true }];
}

function actorBehind(look: ActorLook): readonly Behind[] {
  const { id: about, inputs, sent, lostSnapshot, journal } = look, found: Behind[] = [...logBehind(look)];
  for (const { input, isThere, at, fits, last } of inputs) {
    if (fits) continue;
    const which = inputs.length > 1 ? `mailbox ${input}` : "the mailbox";
    found.push({ about, what: "mailbox", says: !isThere ? `${which} is not there` : at === 0 ? `${which} was trimmed, and the log says that nothing was read from it` : `${which} ends at ${last} or holds another message at ${at}, up to which it was read`, mends: true });
  }
  for (const { target, settled, fits } of sent) {
    if (!fits) found.push({ about, what: "sent", says: `frame ${settled} that it sent to ${typeof target === "string" ? "its dead letters" : target.join("/")} is not where it was stored`, mends: true });
  }
  if (lostSnapshot !== undefined) {
    const mends = lostSnapshot.fallsBack || journal?.isWhole === true;
    found.push({ about, what: "snapshot", says: `chunks of its newest snapshot (record ${lostSnapshot.n}) are gone; ${mends ? `its state is in ${journal?.isWhole === true ? `the journal on ${journal.node}` : "older records"}, and it writes a new one when it starts${journal?.isWhole === true ? " there" : ""}` : "its state is nowhere else"}`, mends });
  }
  return found;
}

function logBehind({ id: about, standing, journal, journals, bounds, history }: ActorLook): readonly Behind[] {
  const behind = (says: string, mends: boolean): Behind => ({ about, what: "log", says, mends }), ends = `the log ${bounds.isThere ? `ends at ${bounds.last}` : "is not there"}`;
  const told = ({ copy, standing: { is, from, to } }: Compared): readonly Behind[] => {
    const of = `the journal on ${copy.node}`;
    if (is === "ahead") return [behind(`${ends}, ${of} has records ${from} to ${to} after that`, true)];
    if (is === "beyond") return [behind(`${ends}, ${of} begins with record ${from}`, copy.isWhole)];
    // One that the log does not build on is in the way only where it lies.
    if (is === "forked" && copy !== journal) return [{ ...behind(`records ${from} to ${to} of ${of} are in no log any more: another owner went on after the loss. It is left as it is, and the actor parks where it is; remove it there once that is known`, false), what: "journal" }];
    return is === "forked" ? [behind(`another owner went on with the log after the loss: records ${from} to ${to} of ${of} are in no log any more`, false)] : [];
  };
  const found = journals.filter(({ copy, standing: { is } }) => copy === journal || is === "forked" || (is === "beyond" && journal !== undefined && copy.newest.n > journal.newest.n)).flatMap(told);
  if (found.length > 0) return found;
  if (history.missing !== undefined && journal?.isWhole !== true) return [behind(`record ${history.missing} of its log is missing, and no journal has it`, false)];
  if (standing !== undefined && standing.is !== "old") return [];
  if (!bounds.isThere) return [behind("the log is not there, and no journal has a record of it", false)];
  return bounds.first > bounds.last && bounds.first > 1 ? [behind("the log is empty, and records were purged from it", false)] : [];
}

/** Chunks of seals are needed until all who go on with that state have begun; who has its state still seals it again when it starts. */
function sealsBehind(looks: readonly ActorLook[], { change }: RunRecord): readonly Behind[] {
  if (change === undefined || looks.filter(({ isNext }) => isNext === true).every(({ history }) => history.snapshots.length > 0)) return [];
  return looks.filter(({ lostSeal }) => lostSeal).map(({ id: about, journal, lostSnapshot }) => {
    const mends = journal?.isWhole === true || lostSnapshot?.fallsBack !== false;
    return { about, what: "snapshot", says: `chunks of the state that it sealed for generation ${change.generation} of its stage are gone; ${mends ? "it seals it again when it starts" : "that state is nowhere else"}`, mends };
  });
}

function gapBehind({ from, to, is, first, last, node }: Gap): Behind {
  const frames = first === last ? `frame ${first}` : `frames ${first} to ${last}`;
  switch (is) {
    case "gone": return { about: to, what: "frames", says: `${frames} from ${from} are gone: neither a mailbox nor a record holds them`, mends: false };
    case "kept": return { about: to, what: "frames", says: `${frames} from ${from} are in no mailbox, and would not be sent again; ${node === "the log" ? "its log" : `the journal on ${node}`} still holds them`, mends: true };
    case "anew": return { about: from, what: "frames", says: `${to} has ${frames} of it, read or in its mailbox, of which its log knows nothing: it lost records that no journal has, and decides them anew`, mends: false };
    case "forked": return { about: to, what: "history", says: `${from} wrote its history anew after a loss: what it tells from frame ${first} on does not fit what ${to} has, read or in its mailbox; that one parks (HISTORY_FORKED)`, mends: false };
    case "unsaid": return { about: from, what: "sent", says: `${frames} that it sent to ${to} are in no record of it, and none says that they were stored; its reader has them`, mends: true };
  }
}
