// The dead letters of a flow, newest last, as they stand in its stream (P29): frames of letters and of settlements, one subject for
// each actor. A letter is open until a settlement that names it stands behind it.
import { type DeadLetter, isLetter, isSettlement, type Settlement } from "../actor/dead-letter.ts";
import { deadStream } from "../actor/environment.ts";
import type { Broker } from "../broker/broker.ts";
import { MillraceError } from "../event/errors.ts";
import { decodeMessage, type Frame, type Row, rowData } from "../event/frame.ts";
import { isName } from "../flow/name.ts";

export type LetterStatus = "open" | Settlement["settled"];

export interface KeptLetter extends DeadLetter {
  /** Names it: the frame's sequence in the stream, and its place in the frame, such as "12.0". */
  readonly number: string;
  /** Generation of the stage, which names the run. */
  readonly generation: string;
  /** The number of its frame on the actor's chain. */
  readonly frame: number;
  readonly status: LetterStatus;
}

/** Which letters: all where nothing is named. */
export interface LetterFilter {
  readonly stage?: string | undefined;
  readonly code?: string | undefined;
  /** Only those that are neither replayed nor dropped. */
  readonly open?: boolean | undefined;
}

/** Frames that are read at a time, from the end backwards. */
const pageFrames = 64;

/** What was settled of what was read so far, by actor, frame and place. */
type Settled = Map<string, Settlement["settled"]>;

const chosen = ({ code, open }: LetterFilter) => (letter: KeptLetter): boolean => (code === undefined || letter.code === code) && (open !== true || letter.status === "open");

/** The newest `limit` letters that the filter lets through, oldest first. @throws MillraceError NO_LETTERS, NAME_INVALID, UNREACHABLE */
export async function newestLetters(broker: Broker, flow: string, limit: number, filter: LetterFilter = {}): Promise<readonly KeptLetter[]> {
  const stream = deadLetters(broker, flow, filter.stage), { first, last } = await bounds(broker, flow), found = new Map<string, KeptLetter>(), settled: Settled = new Map();
  for (let to = last; to >= first && found.size < limit; to -= pageFrames) {
    const frames: { readonly seq: number; readonly data: Uint8Array }[] = [];
    for await (const stored of stream.read(Math.max(first, to - pageFrames + 1), to)) { frames.push(stored); settlementsOf(stored.data, settled); }
    // A settlement stands behind its letter: it was read before it, or is on the same page.
    const page = frames.flatMap(({ seq, data }) => lettersOf(seq, data, settled)).filter(chosen(filter));
    // Of copies the oldest stands, as for who reads forwards.
    for (const letter of page.reverse()) { found.delete(copyId(letter)); found.set(copyId(letter), letter); }
  }
  return [...found.values()].reverse().slice(-limit);
}

/**
 * All letters that the filter lets through and that are there at the call, oldest first, a frame at a time. What became of them is
 * read first. Throws as `newestLetters`.
 */
export async function* allLetters(broker: Broker, flow: string, filter: LetterFilter = {}): AsyncGenerator<KeptLetter> {
  const stream = deadLetters(broker, flow, filter.stage), { first, last } = await bounds(broker, flow), settled: Settled = new Map();
  if (first > last) return;
  for await (const { data } of stream.read(first, last)) settlementsOf(data, settled);
  // Of each writer what is above its last number (P29).
  const newest = new Map<string, number>();
  for await (const { seq, data } of stream.read(first, last)) {
    const letters = lettersOf(seq, data, settled).filter((letter) => letter.generation === "" || letter.frame > (newest.get(writerOf(letter)) ?? 0));
    for (const letter of letters) newest.set(writerOf(letter), letter.frame);
    yield* letters.filter(chosen(filter));
  }
}

/** @throws MillraceError NO_LETTERS, NOT_FOUND, UNREACHABLE */
export async function letterOf(broker: Broker, flow: string, number: string): Promise<KeptLetter> {
  const [, seq, place] = /^(\d+)\.(\d+)$/.exec(number) ?? [];
  const { last } = await bounds(broker, flow);
  const stored = seq === undefined || !Number.isSafeInteger(Number(seq)) ? undefined : await deadLetters(broker, flow).get(Number(seq));
  const settled: Settled = new Map(), letters = stored === undefined ? [] : lettersOf(stored.seq, stored.data, settled);
  if (letters.length > 0) for await (const { data } of deadLetters(broker, flow).read(Number(seq), last)) settlementsOf(data, settled);
  const letter = stored === undefined ? undefined : lettersOf(stored.seq, stored.data, settled).find((its) => its.number === `${stored.seq}.${Number(place)}`);
  if (letter === undefined) throw new MillraceError("NOT_FOUND", `${flow} ${number}`, `There is no dead letter ${number} of flow "${flow}"`, `\`millrace dlq list ${flow}\` names them; they are kept for 30 days.`);
  return letter;
}

function deadLetters(broker: Broker, flow: string, stage?: string) {
  // They become part of a subject, where "*" or "a.b" would be others.
  for (const name of stage === undefined ? [flow] : [flow, stage]) {
    if (!isName(name)) throw new MillraceError("NAME_INVALID", String(name).slice(0, 64), "This is no name of a flow or a stage", "Names have 1 to 64 of a-z, 0-9 and -, a letter first.");
  }
  return broker.stream(deadStream(flow), stage === undefined ? `mr.dead.${flow}.>` : `mr.dead.${flow}.${stage}.>`);
}

async function bounds(broker: Broker, flow: string): Promise<{ readonly first: number; readonly last: number }> {
  try {
    return await deadLetters(broker, flow).bounds();
  } catch (error) {
    if (!(error instanceof MillraceError) || error.code !== "STREAM_MISSING") throw error;
    throw new MillraceError("NO_LETTERS", flow, `Flow "${flow}" has never run here`, "Check its name, --data-dir and --nats.", { cause: error });
  }
}

// What cannot be read hides no other: it stands in the list with the reason for which it is refused.
function lettersOf(seq: number, data: Uint8Array, settled: Settled): readonly KeptLetter[] {
  try {
    const frame = decodeMessage(data), { rows, shapes, generation } = frame;
    return rows.flatMap((row: Row, place): KeptLetter | readonly [] => {
      const letter = rowData(row, shapes), number = `${seq}.${place}`, status = settled.get(letterId(frame, frame.seq, place)) ?? "open";
      if (isLetter(letter)) return { ...letter, number, generation, frame: frame.seq, status };
      return isSettlement(letter) ? [] : unreadable(number, new MillraceError("BYTES_REFUSED", "dead letter", "This is no dead letter", "Look at who publishes to the subjects of dead letters; only nodes may."));
    });
  } catch (error) {
    if (!(error instanceof MillraceError)) throw error;
    return [unreadable(`${seq}.0`, error)];
  }
}

function settlementsOf(data: Uint8Array, settled: Settled): void {
  let frame: Frame;
  try {
    frame = decodeMessage(data);
  } catch {
    // It is shown where letters are.
    return;
  }
  for (const row of frame.rows) {
    const its = rowData(row, frame.shapes);
    if (isSettlement(its)) settled.set(its.of === undefined ? letterId(frame, its.frame, its.place) : `${its.of} ${its.frame}.${its.place}`, its.settled);
  }
}

const writerOf = ({ actor, generation }: KeptLetter): string => `${actor}@${generation}`;
/** The same of all copies of a letter: a frame may stand there twice (P29). What cannot be read is like no other. */
const copyId = (letter: KeptLetter): string => (letter.generation === "" ? letter.number : `${writerOf(letter)} ${letter.frame}.${letter.number.split(".")[1]}`);
const letterId = ({ from, generation }: Frame, frame: number, place: number): string => `${from}@${generation} ${frame}.${place}`;

function unreadable(number: string, { code, name, message, where }: MillraceError): KeptLetter {
  return { number, generation: "", frame: 0, status: "open", code, message, error: { name, message, stack: "" }, actor: where, attempts: 0, flow: "", event: { id: "", type: "", time: 0, key: null, source: "", data: null } };
}
