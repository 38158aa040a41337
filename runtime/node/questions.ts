// What a node answers on `mr.inspect.<node>`: JSON in, JSON out, `{"what": …}` names the question. Read only. Orders, which change
// something, go the same way on `mr.operate.<node>`: permissions on subjects tell who may. What can be asked beside "ping" is added by
// runtime/inspect.
import type { Broker } from "../broker/broker.ts";
import { MillraceError } from "../event/errors.ts";

export interface Question {
  readonly what: string;
  readonly [parameter: string]: unknown;
}

/** Plain data; of bounded cost and size whatever is asked. */
export type Answer = (question: Question) => Promise<unknown>;

const longestQuestion = 16 * 1024;
/** Questions under way; more are refused. */
const mostAtOnce = 16;

/** Where a node answers. */
export function inspectSubject(node: string): string {
  return `mr.inspect.${node}`;
}

/** Where a node takes orders. */
export function operateSubject(node: string): string {
  return `mr.operate.${node}`;
}

export class Questions {
  readonly #answers = new Map<string, Answer>();
  readonly #node: string;
  readonly #subject: string;
  #underWay = 0;

  constructor(node: string, subject = inspectSubject(node)) {
    this.#node = node;
    this.#subject = subject;
    this.answer("ping", () => Promise.resolve({}));
  }

  answer(what: string, give: Answer): void {
    this.#answers.set(what, give);
  }

  /** Answers from now on. Returns what ends it. */
  serve(broker: Broker): () => void {
    return broker.serve(this.#subject, async (request) => {
      if (this.#underWay >= mostAtOnce) throw new MillraceError("BUSY", this.#node, `${mostAtOnce} questions are being answered already`, "Ask again in a moment.");
      this.#underWay++;
      try {
        const question = parse(this.#node, request), give = this.#answers.get(question.what);
        if (give === undefined) throw unknown(this.#node, `"${question.what.slice(0, 40)}" is no question that is known here`);
        return Buffer.from(JSON.stringify({ node: this.#node, answer: await give(question) }));
      } finally {
        this.#underWay--;
      }
    });
  }
}

/** Asks a node. @throws MillraceError NOT_FOUND, UNREACHABLE, REQUEST_FAILED */
export async function ask(broker: Broker, node: string, question: Question, timeoutMs: number, subject = inspectSubject(node)): Promise<unknown> {
  const reply = await broker.request(subject, Buffer.from(JSON.stringify(question)), timeoutMs);
  try {
    return (JSON.parse(Buffer.from(reply).toString("utf8")) as { readonly answer: unknown }).answer;
  } catch (error) {
    throw new MillraceError("REQUEST_FAILED", node, `What node ${node} answered is no JSON`, "Look which program answers there; it may be a newer Millrace.", { cause: error });
  }
}

function parse(node: string, request: Uint8Array): Question {
  if (request.length > longestQuestion) throw unknown(node, `a question of ${request.length} bytes is too long`);
  try {
    const question: unknown = JSON.parse(Buffer.from(request.buffer, request.byteOffset, request.byteLength).toString("utf8"));
    if (typeof question === "object" && question !== null && typeof (question as Question).what === "string") return question as Question;
  } catch {
    // Said below.
  }
  throw unknown(node, "a question is a JSON object with a text `what`");
}

const unknown = (node: string, what: string): MillraceError => new MillraceError("QUESTION_UNKNOWN", node, what, "Ask with the millrace of the same version.");
