// How an actor of a new generation begins (PROTOCOL 11): with its section of the seal of every actor of the old one†. What comes of it
// is the same however often it is done, since seals do not change; it is kept when the snapshot of it is in the actor's own log†.
import { putEntries } from "../journal/recovery.ts";
import { decodeRecord, type Body } from "../journal/record.ts";
import { MillraceError } from "../event/errors.ts";
import { sameTerm, type Term } from "../event/term.ts";
import type { Journal } from "../journal/journal.ts";
import { foldedKey, keyName, rangeOf } from "../journal/keys.ts";
import { notSealed, readSeal, type Sealed } from "../journal/seal.ts";
import type { StoreOperation } from "../journal/store.ts";
import type { Actor } from "./actor.ts";
import type { FoldedEntry } from "./change.ts";
import { type Division, readingOf } from "./environment.ts";
import { Inbound } from "./inbound.ts";
import { foldedLetters } from "./snapshot.ts";
import { inheritedKey, triedAs } from "./section.ts";
import { splitOwner } from "./split.ts";
import { inheritedTargets } from "./target-succession.ts";

/** Whether it began with the run, not with the state of an earlier generation. */
export function isFirst({ env, stage, generation }: Actor): boolean {
  return env.generations === undefined || generation === env.generations.first(stage.name).generation;
}

/**
 * All actors of all stages that feed it: until they have ended it waits for them, also for those not heard of yet†. As they were when the run
 * began: which came after them its own log says. An actor of a later generation has them from the seals.
 */
export function declareSenders({ env, stage, memory }: Actor): void {
  for (const { from, input } of stage.inputs) {
    const { generation, count } = env.generations?.first(from) ?? env.division(from);
    for (let p = 0; p < count; p++) memory.inbound.declare(input, `${env.flow.name}/${from}/${p}`, generation);
  }
}

/** Whether the log holds more than claims: then the actor has begun, and goes on by its own log. */
export async function hasBegun(journal: Journal): Promise<boolean> {
  const first = (await journal.first()) ?? 1;
  if (first > 1) return true;
  for await (const { bytes } of journal.read(first)) if (decodeRecord(bytes).kind !== "claim") return true;
  return false;
}

/** What an actor goes on with: its section of every seal. */
export class Inheritance {
  readonly #actor: Actor;
  readonly #journal: Journal;
  readonly #from: Division;
  readonly #bodies: Body[] = [];
  readonly #tried = new Set<string>();

  constructor(actor: Actor, journal: Journal, from: Division) {
    this.#actor = actor;
    this.#journal = journal;
    this.#from = from;
  }

  /** Loads the sections into the journal's folded space, and gives what was loaded. @throws MillraceError NOT_SEALED, UNREACHABLE, STREAM_MISSING, BROKER_WENT_BACK */
  async *load(): AsyncGenerator<readonly FoldedEntry[]> {
    const { store } = this.#journal, { partition } = this.#actor;
    await emptied(this.#journal);
    for (const { where, seal } of await new Seals(this.#actor, this.#from).all()) {
      this.#bodies.push(seal.body);
      for await (const entries of seal.section(partition)) {
        // Only the keys of held events may meet.
        const loaded: [Uint8Array, Uint8Array][] = [], taken = new Set<string>(), isThere = (key: Uint8Array): boolean => taken.has(keyName(key)) || store.get(key) !== undefined;
        for (const [key, value] of entries) {
          if (value === null) continue;
          const its = inheritedKey(key, `${where}@${this.#from.generation}`, isThere);
          if (its !== key) taken.add(keyName(its));
          loaded.push([its, value]);
          const id = triedAs(key, value, where);
          if (id !== undefined) this.#tried.add(id);
        }
        await putEntries(store, loaded);
        yield loaded;
      }
    }
  }

  /** Its fields, once all was loaded. @throws MillraceError HISTORY_FORKED */
  body(): Body {
    return merged(this.#actor.address, this.#bodies, this.#actor.partition, this.#tried);
  }
}

/** The seals of a generation. */
export class Seals {
  readonly #actor: Actor;
  readonly #from: Division;

  constructor(actor: Actor, from: Division) {
    this.#actor = actor;
    this.#from = from;
  }

  get count(): number {
    return this.#from.count;
  }

  /** †All of them, or none. @throws MillraceError NOT_SEALED, UNREACHABLE, STREAM_MISSING */
  async all(): Promise<readonly { readonly where: string; readonly seal: Sealed }[]> {
    return await Promise.all(Array.from({ length: this.count }, async (_, p) => {
      const where = this.address(p), seal = await this.of(p);
      if (seal === undefined) throw notSealed(where);
      return { where, seal };
    }));
  }

  address(partition: number): string {
    const { env, stage } = this.#actor;
    return `${env.flow.name}/${stage.name}/${partition}`;
  }

  of(partition: number): Promise<Sealed | undefined> {
    const { env, stage, generation } = this.#actor, { where, log, chunks } = readingOf(env, env.flow.name, stage.name, this.#from.generation, partition);
    return readSeal(where, generation, log, chunks);
  }
}

// What an earlier try had loaded.
async function emptied({ store }: Journal): Promise<void> {
  for (const letter of foldedLetters) {
    for (;;) {
      const operations: StoreOperation[] = [];
      for await (const [key] of store.range(...rangeOf(letter), { limit: 1_000 })) operations.push({ type: "del", key });
      if (operations.length === 0) break;
      await store.write(operations);
    }
  }
  await store.write([{ type: "del", key: foldedKey }]);
}

/**
 * The fields of the actor that goes on with these. Watermarks, caught up and ends are those of the seals, which agree; so do the terms of a
 * sender's barriers, which are of one record. @throws MillraceError HISTORY_FORKED
 */
export function merged(where: string, bodies: readonly Body[], partition: number, tried: ReadonlySet<string>): Body {
  const least = (a: number | null, b: number | null): number | null => (a === null || b === null ? null : Math.min(a, b));
  const channels = new Map<string, NonNullable<Body["channels"]>[number]>(), inputs = new Set<number>(), counts = { in: 0, out: 0, late: 0, deadLetters: 0, settled: 0 };
  let own: NonNullable<Body["own"]> | undefined;
  const barriers = new Map<string, Term | null>(), events: (readonly [string, number])[] = [], floors = new Map<string, NonNullable<Body["floors"]>[number]>();
  for (const [p, body] of bodies.entries()) {
    for (const [input] of body.inputs ?? []) inputs.add(input);
    for (const [input, from, generation, watermark, caught, ended, barrier] of body.channels ?? []) {
      const name = Inbound.id(input, from, generation), known = channels.get(name);
      // One that ended has no barrier in any of them: `null`.
      const term = barrier === undefined ? null : (body.cursors?.find((cursor) => Inbound.id(cursor[0], cursor[1], cursor[2]) === name)?.[4] ?? null);
      if (barriers.has(name) && !sameTerm(barriers.get(name), term)) throw new MillraceError("HISTORY_FORKED", where, `What ${from} sent was written anew after a loss: its last words to those before were not one and the same`, "Start the flow anew with --fresh, or bring the server's store back.");
      barriers.set(name, term);
      channels.set(name, known === undefined ? [input, from, generation, watermark, caught, ended] : [input, from, generation, least(known[3], watermark), known[4] && caught, known[5] && ended]);
    }
    for (const floor of body.floors ?? []) floors.set(`${floor[0]} ${floor[1]}`, floor);
    const its = body.own ?? { watermark: null, ended: false, caught: false };
    own = { watermark: own === undefined ? its.watermark : least(own.watermark, its.watermark), ended: false, caught: (own?.caught ?? true) && its.caught };
    for (const [id, tries] of body.tries?.events ?? []) if (tried.has(id)) events.push([id, tries]);
    if (p % (body.seal?.sections.length ?? 1) !== partition || body.counts === undefined) continue;
    counts.in += body.counts.in;
    counts.out += body.counts.out;
    counts.late += body.counts.late;
    counts.deadLetters += body.counts.deadLetters;
    counts.settled += body.counts.settled ?? 0;
  }
  const [first] = bodies, count = first?.seal?.sections.length ?? 1, source = bodies.flatMap(({ source: splits = [] }) => splits.filter(([split]) => splitOwner(split, count) === partition));
  return {
    inputs: [...inputs].map((input) => [input, 0, null, null, 0]), channels: [...channels.values()],
    // Its mailboxes are new: so are the numbers on their channels. What comes first there goes on from the barrier†.
    cursors: [...channels].map(([name, [input, from, generation]]) => [input, from, generation, 0, barriers.get(name) ?? null, 0, null, []]),
    own: own ?? { watermark: null, ended: false, caught: false }, tries: { k: 0, events }, ...inheritedTargets(bodies, partition, count), ...(source.length === 0 ? {} : { source }),
    ...(floors.size === 0 ? {} : { floors: [...floors.values()] }), ...(first?.routing === undefined ? {} : { routing: first.routing }), counts,
  };
}
