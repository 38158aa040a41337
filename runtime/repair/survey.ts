// A flow after a loss: what the broker holds of it against the journals, and against itself (P30). What is behind what, and whether a
// repair brings it back. Changes nothing; the flow must not run meanwhile.
import { deadStream, streamName, subjectsOf } from "../actor/environment.ts";
import type { Broker } from "../broker/broker.ts";
import { decodeMessage } from "../event/frame.ts";
import type { RunNotes } from "../node/run-note.ts";
import { StageGenerations } from "../node/stage-generations.ts";
import { type ActorLook, addressOfPlace, lookAt } from "./actor-look.ts";
import { type Gap, gapsOf } from "./channel-gap.ts";
import type { NodeJournals } from "./journal-copy.ts";
import { findRun, type FoundRun } from "./run-key.ts";

export interface SurveyOptions {
  readonly broker: Broker;
  /** Of all nodes that can be asked; of a node that is away none. Empty: the broker is compared with itself alone. */
  readonly journals: readonly NodeJournals[];
  /** Of this data folder. */
  readonly notes?: RunNotes;
}

/** Something that the broker lost. */
export interface Behind {
  /** An actor's address, or the flow's name. */
  readonly about: string;
  readonly what: "run" | "log" | "mailbox" | "sent" | "frames" | "snapshot";
  /** A sentence, what is behind what. */
  readonly says: string;
  /** Whether a repair makes that good. Of a `snapshot`: the next start does. */
  readonly mends: boolean;
}

export interface Survey extends AsyncDisposable {
  readonly flow: string;
  readonly run: FoundRun;
  /** By address. */
  readonly actors: ReadonlyMap<string, ActorLook>;
  readonly gaps: readonly Gap[];
  /** Streams of the flow that are not there. */
  readonly missing: readonly string[];
  readonly behind: readonly Behind[];
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
  const close = async (): Promise<void> => { for (const { journal } of actors.values()) await journal?.close(); };
  try {
    for (const { name: stage, generation, parallelism } of run.record.state === "preparing" ? [] : run.record.stages) {
      for (let partition = 0; partition < parallelism; partition++) {
        const place = { flow, stage, kind: kinds.get(stage) ?? "processor", generation, partition } as const;
        actors.set(addressOfPlace(place), await lookAt(place, { broker, journals, streams, isRetired }));
      }
    }
    const gaps: Gap[] = [];
    for (const look of actors.values()) gaps.push(...(await gapsOf(look, actors, (subject) => chainEnd(broker, streams, flow, subject))));
    const missing = missingOf(flow, run, actors, streams);
    return { flow, run, actors, gaps, missing, behind: [...runBehind(flow, run), ...[...actors.values()].flatMap(actorBehind), ...gaps.map(gapBehind)], [Symbol.asyncDispose]: close };
  } catch (error) {
    await close();
    throw error;
  }
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
  const { address: about, inputs, sent, lostSnapshot, journal } = look, found: Behind[] = [...logBehind(look)];
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
    found.push({ about, what: "snapshot", says: `chunks of its newest snapshot (record ${lostSnapshot.n}) are gone; ${mends ? `its state is in ${journal?.isWhole === true ? "its journal" : "older records"}, and it writes a new one when it starts` : "its state is nowhere else"}`, mends });
  }
  return found;
}

function logBehind({ address: about, standing, journal, bounds, history }: ActorLook): readonly Behind[] {
  const behind = (says: string, mends: boolean): readonly Behind[] => [{ about, what: "log", says, mends }], of = journal === undefined ? "" : `the journal on ${journal.node}`;
  switch (standing?.is) {
    case "ahead": return behind(`the log ${bounds.isThere ? `ends at ${bounds.last}` : "is not there"}, ${of} has records ${standing.from} to ${standing.to} after that`, true);
    case "beyond": return behind(`the log ${bounds.isThere ? `ends at ${bounds.last}` : "is not there"}, ${of} begins with record ${standing.from}`, journal?.isWhole === true);
    case "forked": return behind(`another owner went on with the log after the loss: records ${standing.from} to ${standing.to} of ${of} are in no log any more`, false);
    default: {
      if (history.missing !== undefined && journal?.isWhole !== true) return behind(`record ${history.missing} of its log is missing, and no journal has it`, false);
      if (!bounds.isThere) return behind("the log is not there, and no journal has a record of it", false);
      return bounds.first > bounds.last && bounds.first > 1 ? behind("the log is empty, and records were purged from it", false) : [];
    }
  }
}

function gapBehind({ from, to, is, first, last }: Gap): Behind {
  const frames = first === last ? `frame ${first}` : `frames ${first} to ${last}`;
  if (is === "gone") return { about: to, what: "frames", says: `${frames} from ${from} are gone: neither a mailbox nor a record holds them`, mends: false };
  return { about: from, what: "frames", says: `${to} has read ${frames} of it, of which its log knows nothing: it lost records that no journal has, and decides them anew`, mends: false };
}
