// The decisions of a node's supervisors in its LevelDB: the last 200 about each offender, so that `why` and the counts of
// `tree` outlive the node. Opens its store again after a failure, because the supervisors wait for it (I8).
import { asError } from "../event/errors.ts";
import type { Store, Stores } from "../journal/store.ts";
import { kept, type Decision, type DecisionLog } from "./decision.ts";

// d, the offender, 0, its number: an offender's decisions lie together and in order. No address holds a 0.
function keyOf(offender: string, n: number): Buffer {
  const key = Buffer.alloc(Buffer.byteLength(offender) + 10);
  key.write(`d${offender}`);
  key.writeBigUInt64BE(BigInt(n), key.length - 8);
  return key;
}
const numberOf = (key: Uint8Array): number => Number(Buffer.from(key.buffer, key.byteOffset, key.byteLength).readBigUInt64BE(key.length - 8));
const endOf = (offender: string): Buffer => Buffer.from(`d${offender}\x01`);

export class StoredDecisionLog implements DecisionLog {
  readonly #stores: Stores;
  readonly #name: string;
  #store: Promise<Store> | undefined;
  // The number that a decision was given when it was first handed in: handed in again, it replaces itself.
  readonly #numbers = new WeakMap<Decision, number>();
  readonly #last = new Map<string, number>();

  /** `name`: of its store, such as "supervision". Opened with the first call. */
  constructor(stores: Stores, name: string) {
    this.#stores = stores;
    this.#name = name;
  }

  async append(decision: Decision): Promise<void> {
    await this.#with(async (store) => {
      const { offender } = decision;
      let n = this.#numbers.get(decision);
      if (n === undefined) {
        const stored = this.#last.has(offender) ? 0 : await newest(store, offender);
        n = Math.max(stored, this.#last.get(offender) ?? 0) + 1;
        this.#numbers.set(decision, n);
        this.#last.set(offender, n);
      }
      const put = { type: "put", key: keyOf(offender, n), value: Buffer.from(JSON.stringify(decision)) } as const;
      await store.write(n > kept ? [put, { type: "del", key: keyOf(offender, n - kept) }] : [put]);
    });
  }

  async read(offender: string): Promise<readonly Decision[]> {
    return await this.#with(async (store) => {
      const decisions: Decision[] = [];
      for await (const [, value] of store.range(keyOf(offender, 0), endOf(offender), { reverse: true, limit: kept })) {
        const decision = parse(value);
        // One that cannot be read is passed over: the others are worth more than its absence.
        if (decision !== undefined) decisions.push(decision);
      }
      return decisions.reverse();
    });
  }

  /** Closes the store; a later call opens it again. */
  async close(): Promise<void> {
    const store = this.#store;
    this.#store = undefined;
    await (await store)?.close();
  }

  async #with<T>(use: (store: Store) => Promise<T>): Promise<T> {
    const opened = (this.#store ??= this.#stores.open(this.#name));
    try {
      return await use(await opened);
    } catch (thrown) {
      // A store that failed once fails for ever; only its opening again mends it.
      if (this.#store === opened) {
        this.#store = undefined;
        await opened.then((store) => store.close(), () => undefined).catch(() => undefined);
      }
      throw asError(thrown);
    }
  }
}

async function newest(store: Store, offender: string): Promise<number> {
  for await (const [key] of store.range(keyOf(offender, 0), endOf(offender), { reverse: true, limit: 1 })) return numberOf(key);
  return 0;
}

function parse(value: Uint8Array): Decision | undefined {
  try {
    const decision: unknown = JSON.parse(Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString("utf8"));
    if (typeof decision !== "object" || decision === null) return undefined;
    const { at, offender, decision: words, restarts, reason } = decision as Partial<Decision>;
    const whole = typeof at === "number" && typeof offender === "string" && typeof words === "string" && typeof restarts === "number" && typeof reason === "object" && reason !== null;
    return whole ? (decision as Decision) : undefined;
  } catch {
    return undefined;
  }
}

/** The twin in memory: for tests, and where nothing is to be kept. */
export class MemoryDecisionLog implements DecisionLog {
  readonly #decisions = new Map<string, Decision[]>();

  append(decision: Decision): Promise<void> {
    const about = this.#decisions.get(decision.offender) ?? [];
    this.#decisions.set(decision.offender, about);
    if (!about.includes(decision)) about.push(decision);
    if (about.length > kept) about.shift();
    return Promise.resolve();
  }

  read(offender: string): Promise<readonly Decision[]> {
    return Promise.resolve([...(this.#decisions.get(offender) ?? [])]);
  }
}
