// The dead letters of a flow, newest last, as they stand in its stream (P29): frames of letters, one subject for each actor.
import { deadStream } from "../actor/environment.ts";
import type { DeadLetter } from "../actor/emitter.ts";
import type { Broker } from "../broker/broker.ts";
import { MillraceError } from "../event/errors.ts";
import { decodeMessage, type Row, rowData } from "../event/frame.ts";
import { isName } from "../flow/name.ts";

export interface KeptLetter extends DeadLetter {
  /** Names it: the frame's sequence in the stream, and its place in the frame, such as "12.0". */
  readonly number: string;
  /** Generation of the stage, which names the run. */
  readonly generation: string;
}

/** Which letters: all where nothing is named. */
export interface LetterFilter {
  readonly stage?: string | undefined;
  readonly code?: string | undefined;
}

/** Frames that are read at a time, from the end backwards. */
const pageFrames = 64;

/** The newest `limit` letters that the filter lets through, oldest first. @throws MillraceError NO_LETTERS, NAME_INVALID, UNREACHABLE */
export async function newestLetters(broker: Broker, flow: string, limit: number, { stage, code }: LetterFilter = {}): Promise<readonly KeptLetter[]> {
  const stream = deadLetters(broker, flow, stage), { first, last } = await bounds(broker, flow), pages: (readonly KeptLetter[])[] = [];
  let found = 0;
  for (let to = last; to >= first && found < limit; to -= pageFrames) {
    const page: KeptLetter[] = [];
    for await (const { seq, data } of stream.read(Math.max(first, to - pageFrames + 1), to)) page.push(...lettersOf(seq, data).filter((letter) => code === undefined || letter.code === code));
    pages.unshift(page);
    found += page.length;
  }
  return pages.flat().slice(-limit);
}

/** All letters that the filter lets through and that are there at the call, oldest first, a frame at a time. Throws as `newestLetters`. */
export async function* allLetters(broker: Broker, flow: string, { stage, code }: LetterFilter = {}): AsyncGenerator<KeptLetter> {
  const stream = deadLetters(broker, flow, stage), { first, last } = await bounds(broker, flow);
  if (first > last) return;
  for await (const { seq, data } of stream.read(first, last)) for (const letter of lettersOf(seq, data)) if (code === undefined || letter.code === code) yield letter;
}

/** @throws MillraceError NO_LETTERS, NOT_FOUND, UNREACHABLE */
export async function letterOf(broker: Broker, flow: string, number: string): Promise<KeptLetter> {
  const [, seq, place] = /^(\d+)\.(\d+)$/.exec(number) ?? [];
  await bounds(broker, flow);
  const stored = seq === undefined || !Number.isSafeInteger(Number(seq)) ? undefined : await deadLetters(broker, flow).get(Number(seq));
  const letter = stored === undefined ? undefined : lettersOf(stored.seq, stored.data)[Number(place)];
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
function lettersOf(seq: number, data: Uint8Array): readonly KeptLetter[] {
  try {
    const { rows, shapes, generation } = decodeMessage(data);
    return rows.map((row: Row, place) => {
      const letter = rowData(row, shapes);
      return isLetter(letter) ? { ...letter, number: `${seq}.${place}`, generation } : unreadable(`${seq}.${place}`, new MillraceError("BYTES_REFUSED", "dead letter", "This is no dead letter", "Look at who publishes to the subjects of dead letters; only nodes may."));
    });
  } catch (error) {
    if (!(error instanceof MillraceError)) throw error;
    return [unreadable(`${seq}.0`, error)];
  }
}

function isLetter(data: unknown): data is DeadLetter {
  const { code, message, actor, attempts, event } = Object(data) as Partial<DeadLetter>;
  return typeof code === "string" && typeof message === "string" && typeof actor === "string" && typeof attempts === "number" && typeof event === "object" && event !== null;
}

function unreadable(number: string, { code, name, message, where }: MillraceError): KeptLetter {
  return { number, generation: "", code, message, error: { name, message, stack: "" }, actor: where, attempts: 0, flow: "", event: { id: "", type: "", time: 0, key: null, source: "", data: null } };
}
