// The dead letters of a flow, newest last, as they stand in its stream (P29): frames of letters, one subject for each actor.
import { deadStream } from "../actor/environment.ts";
import type { DeadLetter } from "../actor/emitter.ts";
import type { Broker } from "../broker/broker.ts";
import { MillraceError } from "../event/errors.ts";
import { decodeMessage, type Row, rowData } from "../event/frame.ts";

export interface KeptLetter extends DeadLetter {
  /** Names it: the frame's sequence in the stream, and its place in the frame, such as "12.0". */
  readonly number: string;
  /** Generation of the stage, which names the run. */
  readonly generation: string;
}

/** Frames that are read at a time, from the end backwards. */
const pageFrames = 64;

/** The newest `limit` letters, oldest first. @throws MillraceError NO_LETTERS, UNREACHABLE */
export async function newestLetters(broker: Broker, flow: string, limit: number, stage?: string): Promise<readonly KeptLetter[]> {
  const stream = deadLetters(broker, flow, stage), { first, last } = await bounds(broker, flow);
  let found: KeptLetter[] = [];
  for (let to = last; to >= first && found.length < limit; to -= pageFrames) {
    const page: KeptLetter[] = [];
    for await (const { seq, data } of stream.read(Math.max(first, to - pageFrames + 1), to)) page.push(...lettersOf(seq, data));
    found = [...page, ...found];
  }
  return found.slice(-limit);
}

/** @throws MillraceError NO_LETTERS, NOT_FOUND, UNREACHABLE */
export async function letterOf(broker: Broker, flow: string, number: string): Promise<KeptLetter> {
  const [, seq, place] = /^(\d+)\.(\d+)$/.exec(number) ?? [];
  await bounds(broker, flow);
  const stored = seq === undefined ? undefined : await deadLetters(broker, flow).get(Number(seq));
  const letter = stored === undefined ? undefined : lettersOf(stored.seq, stored.data)[Number(place)];
  if (letter === undefined) throw new MillraceError("NOT_FOUND", `${flow} ${number}`, `There is no dead letter ${number} of flow "${flow}"`, `\`millrace dlq list ${flow}\` names them; they are kept for 30 days.`);
  return letter;
}

function deadLetters(broker: Broker, flow: string, stage?: string) {
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

function lettersOf(seq: number, data: Uint8Array): readonly KeptLetter[] {
  const { rows, shapes, generation } = decodeMessage(data);
  return rows.map((row: Row, place) => ({ ...(rowData(row, shapes) as DeadLetter), number: `${seq}.${place}`, generation }));
}
