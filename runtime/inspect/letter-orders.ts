// Dead letters replayed or dropped, from outside: the letters that are open are read from their stream, and the nodes are asked, a few
// letters at a time, until each is known to be settled. Nothing is kept of it, neither here nor there: what is settled stands in the
// stream, so the same order goes on where one was interrupted, and each goes through once (actor/letters.ts).
import type { DeadLetter } from "../actor/dead-letter.ts";
import { deadStream } from "../actor/environment.ts";
import type { LetterOrder, LetterOutcome } from "../actor/letters.ts";
import type { Broker } from "../broker/broker.ts";
import type { Clock, Random } from "../event/clock.ts";
import { MillraceError } from "../event/errors.ts";
import { isKey, type Key } from "../event/event.ts";
import { partitionOf } from "../event/partition.ts";
import { encodeFrame, message, RowBuffer } from "../event/frame.ts";
import { nextTerm } from "../event/term.ts";
import { readNodes } from "../node/membership.ts";
import type { RunningNode } from "../node/node.ts";
import { ask, operateSubject, type Question } from "../node/questions.ts";
import { readRun, type RunRecord } from "../node/run-record.ts";
import type { KeptLetter } from "./dead-letters.ts";

export interface SettleOptions {
  readonly clock: Clock;
  readonly random: Random;
  /** So long, in ms, without a letter that is settled or refused, then the rest is given back as not done. Default 2 minutes. */
  readonly patienceMs?: number;
}

/** What one request is about: its text has a bound. */
const atOnce = 64;
/** A node answers by then, with what is known. */
const answerMs = 1_000;
const requestMs = 3 * answerMs;
const againMs = 100;
const patience = 120_000;

// ── on the node

/** What came of each of the letters of a question, in their order; `null`: of an actor that is not here. */
export async function carryOut(node: RunningNode, question: Question): Promise<readonly (LetterOutcome | null)[]> {
  const { flow, letters } = question, its = node.flows.find(({ name }) => name === flow);
  if (!Array.isArray(letters) || letters.length > atOnce || !letters.every(isAsked)) throw new MillraceError("QUESTION_UNKNOWN", node.name, "an order about letters names up to 64 of them, each with actor, generation, seq, place and action", "Ask with the millrace of the same version.");
  return await Promise.all(letters.map(async ({ actor, generation, key, ...asked }) => {
    // A letter of an earlier generation is with whoever has its key now.
    const [, stage = "", partition] = actor.split("/"), now = its?.divisionOf(stage), isOld = now?.generation !== generation;
    const hosted = its?.actors.get(isOld && now !== undefined ? `${flow}/${stage}/${key === null ? Number(partition) % now.count : partitionOf(key, now.count)}` : actor);
    if (its === undefined || hosted === undefined || now === undefined || !generation.startsWith(`${its.run.record.token}-`)) return null;
    // One that is just going over to the next generation is asked again.
    if (hosted.generation !== undefined && hosted.generation !== now.generation) return { is: "pending" };
    const order: LetterOrder = isOld ? { ...asked, of: { generation, partition: Number(partition) } } : asked;
    let cancel = (): void => {};
    const late = new Promise<LetterOutcome>((done) => { cancel = node.clock.after(answerMs, () => done({ is: "pending" })); });
    return await Promise.race([hosted.settle(order), late]).finally(() => cancel());
  }));
}

interface Asked extends Omit<LetterOrder, "of"> {
  readonly actor: string;
  readonly generation: string;
  readonly key: Key | null;
}

function isAsked(value: unknown): value is Asked {
  const { actor, generation, key, seq, place, action } = Object(value) as Partial<Asked>;
  return typeof actor === "string" && (key === null || isKey(key)) && typeof generation === "string" && Number.isSafeInteger(seq) && Number.isSafeInteger(place) && (action === "replay" || action === "drop");
}

// ── from outside

/**
 * Settles letters, and tells of each what came of it, as it is known: not in their order.
 * @throws MillraceError NOT_RUNNING where no node has the flow; UNREACHABLE: what was told is settled, the rest may be
 */
export async function* settleLetters(broker: Broker, flow: string, letters: AsyncIterable<KeptLetter>, action: LetterOrder["action"], options: SettleOptions): AsyncGenerator<readonly [KeptLetter, LetterOutcome]> {
  const run = (await readRun(broker.keys, flow))?.record;
  let batch: KeptLetter[] = [];
  for await (const letter of letters) {
    const past = pastOf(letter, run);
    if (past !== undefined) yield [letter, action === "drop" ? await dropByHand(broker, flow, letter, options) : past];
    else if (batch.push(letter) === atOnce) {
      yield* settleBatch(broker, flow, batch, action, options);
      batch = [];
    }
  }
  if (batch.length > 0) yield* settleBatch(broker, flow, batch, action, options);
}

/** Why no actor can take a letter back any more. */
function pastOf({ generation, actor, replay }: KeptLetter, run: RunRecord | undefined): LetterOutcome | undefined {
  const stage = actor.split("/")[1], its = run?.stages.find(({ name }) => name === stage);
  if (generation === "") return { is: "failed", code: "BYTES_REFUSED", message: "this cannot be read" };
  if (its === undefined || !generation.startsWith(`${run?.token}-`)) return { is: "failed", code: "RUN_OVER", message: "the run that gave it up is over: export it and send it by hand, or drop it" };
  if (run?.state === "finished") return { is: "failed", code: "ENDED", message: `the run has finished, nothing goes into it any more: ${replay === undefined ? "" : "export it and send it by hand, or "}drop it` };
  return undefined;
}

async function* settleBatch(broker: Broker, flow: string, batch: readonly KeptLetter[], action: LetterOrder["action"], options: SettleOptions): AsyncGenerator<readonly [KeptLetter, LetterOutcome]> {
  const { clock, patienceMs = patience } = options;
  let left = batch;
  for (let since = clock.monotonic(); left.length > 0; ) {
    const outcomes = await askNodes(broker, flow, left, action), open: KeptLetter[] = [];
    for (const [at, letter] of left.entries()) {
      const outcome = outcomes[at] as LetterOutcome;
      if (outcome.is === "pending") open.push(letter);
      else if (outcome.is === "failed" && outcome.code === "ENDED" && action === "drop") yield [letter, await dropByHand(broker, flow, letter, options)];
      else yield [letter, outcome];
    }
    if (open.length < left.length) since = clock.monotonic();
    left = open;
    if (left.length > 0 && clock.monotonic() - since >= patienceMs) {
      for (const letter of left) yield [letter, { is: "failed", code: "PENDING", message: `${letter.actor} did not take it back within ${Math.round(patienceMs / 1_000)} s: look at \`millrace tree\`, then ask again` }];
      return;
    }
    if (left.length > 0) await new Promise<void>((done) => { clock.after(againMs, done); });
  }
}

/** An actor is on one node; where it is being moved, on none or on two, of which one is fenced: then it is asked again. */
async function askNodes(broker: Broker, flow: string, letters: readonly KeptLetter[], action: LetterOrder["action"]): Promise<readonly LetterOutcome[]> {
  const outcomes: (LetterOutcome | null)[] = letters.map(() => null), isOpen = (at: number): boolean => (outcomes[at]?.is ?? "pending") === "pending";
  let somebody = false;
  for (const { name } of await readNodes(broker.keys)) {
    const open = [...letters.entries()].filter(([at]) => isOpen(at));
    if (open.length === 0) break;
    const asked = open.map(([, { number, actor, generation, event: { key } }]): Asked => { const [seq, place] = number.split(".").map(Number) as [number, number]; return { actor, generation, key, seq, place, action }; });
    try {
      const answer = (await ask(broker, name, { what: "letters", flow, letters: asked }, requestMs, operateSubject(name))) as readonly (LetterOutcome | null)[] | null;
      if (!Array.isArray(answer) || answer.length !== open.length) throw new MillraceError("REQUEST_FAILED", name, `What node ${name} answered is about no letters`, "Ask with the millrace of the same version.");
      for (const [i, [at]] of open.entries()) outcomes[at] = answer[i] ?? outcomes[at] ?? null;
      somebody ||= answer.some((outcome) => outcome !== null);
    } catch (error) {
      // A node that was killed stays in the list until the next one comes. One that does not answer has much to do, or dies just now.
      if (!(error instanceof MillraceError) || !["NOT_FOUND", "UNREACHABLE"].includes(error.code)) throw error;
      somebody ||= error.code === "UNREACHABLE";
    }
  }
  if (!somebody) throw new MillraceError("NOT_RUNNING", flow, `No node runs flow "${flow}": its own actors take its letters back`, `Start it again (it goes on where it was), and ask then; what was settled before stays settled.`);
  return outcomes.map((outcome) => outcome ?? { is: "pending" });
}

/** Nobody runs who could do anything about it: that it is dropped is all there is to say. Beside the actor's own chain. */
async function dropByHand(broker: Broker, flow: string, { actor, generation, frame, number }: KeptLetter & DeadLetter, { clock, random }: SettleOptions): Promise<LetterOutcome> {
  const [, stage, partition] = actor.split("/"), rows = new RowBuffer();
  if (stage === undefined || partition === undefined || generation === "") return { is: "failed", code: "BYTES_REFUSED", message: "this cannot be read; it goes by itself after 30 days" };
  rows.add(0, clock.now(), null, null, { settled: "dropped", frame, place: Number(number.split(".")[1]), at: clock.now() });
  const bytes = encodeFrame({ from: actor, generation, term: nextTerm(0, random), before: null, seq: 0, n: 0, edge: 0, watermark: null, note: null, shapes: rows.shapes, types: rows.types, rows: rows.rows });
  const chain = broker.stream(deadStream(flow), `mr.dead.${flow}.${stage}.${generation}.${partition}.by-hand`), outcome = await chain.append(message(random.bytes(8), bytes));
  if (typeof outcome === "number") return { is: "dropped", before: false };
  if (chain.refusal !== undefined) throw chain.refusal;
  throw new MillraceError("UNREACHABLE", flow, `That ${number} is dropped could not be written down (${outcome})`, "Ask again: what was dropped stays dropped.");
}
