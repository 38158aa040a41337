// The nodes of a flow that is repaired from anywhere (P31): each closes it and holds it closed for the time of the repair, and gives what its
// journals hold. Their journals are copied into a folder here, so that a repair reads them as its own.
import { decodeNode, nodesPattern, nodesStream } from "../cluster/node-record.ts";
import type { Broker } from "../broker/broker.ts";
import type { Clock } from "../event/clock.ts";
import { asError, MillraceError } from "../event/errors.ts";
import type { Store, StoreOperation, Stores } from "../journal/store.ts";
import { bounded } from "../node/bounded.ts";
import { holdMs, type HoldAnswer, type JournalPage, type PagePlace } from "../node/flow-hold.ts";
import { readNodes } from "../node/membership.ts";
import { ask, operateSubject, type Question } from "../node/questions.ts";
import { errorOf, type Refusal } from "../node/refusal.ts";
import type { RunNote } from "../node/run-note.ts";
import type { NodeJournals } from "./journal-copy.ts";

/** An actor may take its time to stop. In ms. */
const answerMs = 45_000, pingMs = 2_000;
const atOnce = 16, tries = 3;

export interface HeldNodesOptions {
  readonly broker: Broker;
  readonly clock: Clock;
  /** Who repairs it, for nodes to tell. */
  readonly by: string;
  /** Where copies of journals go. */
  readonly copies: (node: string) => Pick<Stores, "exists" | "open">;
  readonly say: (line: string) => void;
}

/** Names of nodes that are, or were, there, but those that have left in order; `beats`: of a cluster. @throws MillraceError UNREACHABLE */
export async function nodesKnown(broker: Broker): Promise<ReadonlyMap<string, { readonly beats: boolean }>> {
  const known = new Map((await readNodes(broker.keys)).map(({ name }) => [name, { beats: false }]));
  if (!(await broker.list(nodesStream)).includes(nodesStream)) return known;
  const stream = broker.stream(nodesStream, nodesPattern), { first, last } = await stream.bounds();
  if (last >= first) for await (const { data } of stream.read(first, last)) {
    try {
      const record = decodeNode(data);
      if (record?.state === "here") known.set(record.name, { beats: true });
      if (record?.state === "left") known.delete(record.name);
    } catch {
      // Not of a node.
    }
  }
  return known;
}

export class HeldNodes implements AsyncDisposable {
  readonly #flow: string;
  readonly #options: HeldNodesOptions;
  readonly #held: string[] = [];
  /** Nodes that were not to be asked, and why. */
  readonly away: { readonly node: string; readonly why: string }[] = [];
  /** What the nodes know of the run. */
  readonly notes: RunNote[] = [];
  #renewal = (): void => {};
  #repaired = false;

  private constructor(flow: string, options: HeldNodesOptions) {
    this.#flow = flow;
    this.#options = options;
  }

  /** Asks all of them. @throws MillraceError UNDER_REPAIR where somebody else repairs it */
  static async hold(flow: string, nodes: readonly string[], options: HeldNodesOptions): Promise<HeldNodes> {
    const its = new HeldNodes(flow, options);
    try {
      await bounded(nodes, atOnce, (node) => its.#hold(node));
      its.away.sort((a, b) => (a.node < b.node ? -1 : 1));
      its.#held.sort();
      if (its.#held.length > 0) options.say(`${flow}: held on ${its.#held.join(", ")} while it is repaired`);
      its.#renew();
      return its;
    } catch (error) {
      await its[Symbol.asyncDispose]();
      throw error;
    }
  }

  get names(): readonly string[] {
    return this.#held;
  }

  get journals(): readonly NodeJournals[] {
    return this.#held.map((node) => ({ node, stores: new CopiedStores((name) => this.#copy(node, name), this.#options.copies(node)) }));
  }

  /** The key of the run may have been written again. */
  repaired(): void {
    this.#repaired = true;
  }

  /** Lets go of it everywhere: the nodes open it again. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#renewal();
    await bounded(this.#held, atOnce, async (node) => {
      // Who does not answer lets go by itself.
      await this.#ask(node, { what: "let go", repaired: this.#repaired }, pingMs).catch((error: unknown) => this.#options.say(`${node} lets go of ${this.#flow} within a minute: ${asError(error).message}`));
    });
  }

  async #hold(node: string): Promise<void> {
    try {
      await ask(this.#options.broker, node, { what: "ping" }, pingMs, operateSubject(node));
      const { note } = await this.#ask<Exclude<HoldAnswer, Refusal>>(node, { what: "hold" }, answerMs);
      this.#held.push(node);
      if (note !== null) this.notes.push(note);
    } catch (thrown) {
      const error = asError(thrown);
      if (error instanceof MillraceError && ["UNDER_REPAIR", "NATS_PERMISSION"].includes(error.code)) throw error;
      this.away.push({ node, why: whyNot(error) });
    }
  }

  #renew(): void {
    this.#renewal = this.#options.clock.after(holdMs / 4, () => {
      for (const node of this.#held) void this.#ask(node, { what: "hold" }, answerMs).catch(() => {});
      this.#renew();
    });
  }

  /** Copies a journal here, page by page. `false`: that node has none. */
  async #copy(node: string, name: string): Promise<boolean> {
    const { copies } = this.#options;
    let store: Store | undefined, from: PagePlace | undefined, pieces: Buffer[] = [], count = 0;
    try {
      do {
        const page: JournalPage = await this.#ask<JournalPage>(node, { what: "journal", journal: name, ...(from === undefined ? {} : { from }) }, answerMs);
        if (!page.isThere) return false;
        store ??= await copies(node).open(name);
        const operations: StoreOperation[] = [], { next } = page;
        for (const [at, [key, value]] of page.entries.entries()) {
          pieces.push(Buffer.from(value, "base64"));
          if (at === page.entries.length - 1 && next !== undefined && next.skip > 0) continue;
          operations.push({ type: "put", key: Buffer.from(key, "base64"), value: Buffer.concat(pieces) });
          pieces = [];
        }
        await store.write(operations);
        count += operations.length;
        from = next;
      } while (from !== undefined);
      return count > 0;
    } finally {
      await store?.close();
    }
  }

  async #ask<T extends object>(node: string, question: Question, timeoutMs: number): Promise<T> {
    const { broker, by } = this.#options;
    for (let attempt = 1; ; attempt++) {
      try {
        const answer = (await ask(broker, node, { ...question, flow: this.#flow, by }, timeoutMs, operateSubject(node))) as T | Refusal;
        if ("refused" in answer) throw errorOf(answer);
        return answer;
      } catch (error) {
        // It answers many at the moment.
        if (attempt === tries || !(error instanceof MillraceError) || error.code !== "REQUEST_FAILED" || !error.message.includes("BUSY")) throw error;
      }
    }
  }
}

function whyNot(error: Error): string {
  if (!(error instanceof MillraceError)) return error.message;
  if (error.code === "NOT_FOUND") return "it does not run";
  if (error.code === "UNREACHABLE") return "it does not answer";
  return error.message.includes("QUESTION_UNKNOWN") ? "it runs its flows by itself (millrace run), and gives no journals" : error.message;
}

/** Copies a journal when it is asked for, once. */
class CopiedStores implements Pick<Stores, "exists" | "open"> {
  readonly #copy: (name: string) => Promise<boolean>;
  readonly #copies: Pick<Stores, "exists" | "open">;
  readonly #known = new Map<string, Promise<boolean>>();

  constructor(copy: (name: string) => Promise<boolean>, copies: Pick<Stores, "exists" | "open">) {
    this.#copy = copy;
    this.#copies = copies;
  }

  /** A journal that LevelDB there cannot read gives nothing, as it would here. */
  exists(name: string): Promise<boolean> {
    const known = this.#known.get(name) ?? this.#copy(name).catch((error: unknown) => {
      if (error instanceof MillraceError && ["JOURNAL_CORRUPT", "JOURNAL_FAILED"].includes(error.code)) return false;
      throw error;
    });
    this.#known.set(name, known);
    return known;
  }

  open(name: string): Promise<Store> {
    return this.#copies.open(name);
  }
}
