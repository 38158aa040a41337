// Flows whose dead letters are taken back while they run: which events go in a second time, and what must come of it. The handler goes by
// the number of the try alone, so that what it does after a loss is what it did before.
import { aggregate, map, stateful } from "../../actors/index.ts";
import { type Context, defineFlow, type Emits, RetryableError, type StageOptions, TerminalError } from "../../runtime/index.ts";
import type { DeadLetter } from "../../runtime/actor/dead-letter.ts";
import { host, type Item, itemsOf, feedOf, simulatedSource, type Trouble } from "./feed.ts";
import { planned, type SimulatedFlow, target, time } from "./flows.ts";
import type { KeptLetter, TakenBack } from "./letters.ts";
import { inOrderOf, type Observed } from "./reference.ts";

interface Done extends Item { readonly copy: number; readonly at: number }
interface Counted { readonly key: string; readonly n: number; readonly id: number; readonly copy: number; readonly at: number }

/** The last try of an event that is poison. */
const lastTry = 3;

/** By its number: it fails again (what is mended: at a later try, as a dead letter once more), asks for a later try first, or goes through. */
const again = ({ id }: Item): "fails" | "later" | "through" => (id % 4 === 0 ? "fails" : id % 4 === 1 ? "later" : "through");

function behave(item: Item, { attempt }: Context): void {
  const { id, trouble } = item;
  if (host().fails("handler")) throw new Error(`event ${id} fails for once`);
  if (trouble === "retry" && attempt < 2) throw new RetryableError("not now", { retryAfter: 300 });
  if (trouble === "terminal") throw new TerminalError("never");
  // Only a letter of it gets further than that.
  if (trouble === "mended" && attempt <= lastTry) throw new RetryableError("not yet", { retryAfter: 1 });
  if (trouble === "mended" && attempt === lastTry + 1) throw new TerminalError("not like this");
  if (trouble === "mended" && attempt === lastTry + 2 && again(item) !== "through") throw new RetryableError("not yet", { retryAfter: 100 });
  if (trouble === "mended" && attempt === lastTry + 3 && again(item) === "fails") throw new TerminalError("not like this either");
  if (trouble !== "poison" && trouble !== "timer") return;
  if (attempt <= lastTry || again(item) === "fails") throw new Error(`event ${id} crashes`);
  if (attempt === lastTry + 1 && again(item) === "later") throw new RetryableError("not yet", { retryAfter: 100 });
}

const isGivenUp = ({ trouble }: Item): boolean => trouble === "terminal" || trouble === "mended" || trouble === "poison" || trouble === "timer";
const isGivenUpTwice = (item: Item): boolean => item.trouble === "mended" && again(item) === "fails";
const goesThrough = (item: Item): boolean => item.trouble === "mended" || (item.trouble === "poison" && again(item) !== "fails") || (item.trouble === "timer" && again(item) === "through");
/** The event that a letter is of, or that set its timer. */
const idIn = ({ event: { data } }: DeadLetter): number => (data as Item).id ?? Number((data as { readonly timer: string }).timer);

const counting = () => aggregate({
  initial: () => ({ n: 0, id: 0, copy: 0, at: 0 }),
  add: ({ n }, { id, copy, at }: Done) => ({ n: n + 1, id, copy, at }),
  result: (value, { key }): Counted => ({ key: key as string, ...value }),
});

/** What an event does: it counts those of its key, and says the number twice. */
const effects = 2;

function handled(at: number, item: Item, ctx: Emits<Done>): number {
  ctx.emit({ ...item, copy: 0, at });
  behave(item, ctx);
  ctx.emit({ ...item, copy: 1, at });
  return at + 1;
}

const keyed = (name: string, options: StageOptions, troubles: readonly Trouble[]): SimulatedFlow => ({
  name,
  letters: true,
  takenBack: options.poison?.park === "key" ? "in order" : "late",
  plan: planned(defineFlow(name, (flow) => {
    const feed = flow.source("feed", simulatedSource("feed"), time(0));
    const felt = flow.processor("felt", feed.keyBy(({ key }) => key), options, stateful({
      initial: () => 0,
      on(at, item: Item, ctx: Emits<Done>) {
        if (item.trouble !== "timer") return handled(at, item, ctx);
        ctx.timer(String(item.id), 500);
        return at;
      },
      onTimer: (at, { name: id }, ctx: Emits<Done>) => handled(at, itemsOf(host().feed)[Number(id)] as Item, ctx),
    }));
    const count = flow.processor("count", felt.keyBy(({ key }) => key), { parallelism: 2 }, counting());
    flow.sink("report", count, target<Counted>());
  })),
  feed: (chance, most) => feedOf(chance, { sources: { feed: 1 }, most, keys: 2, disorder: 0, trouble: troubles, troubled: 0.5 }),
  wrong(observed, feed, whole) {
    const items = itemsOf(feed), rows = observed.all as readonly Counted[];
    for (const key of "ab") {
      const its = rows.filter((row) => row.key === key).sort((a, b) => a.n - b.n), words = its.map(({ n, id, copy, at }) => `${n}:${id}.${copy}@${at}`).join(" ");
      if (its.some(({ n, id, copy, at }, i) => n !== i + 1 || copy !== i % effects || at !== Math.floor(i / effects) || id !== its[i - copy]?.id)) return `what the events of key ${key} did is not whole: ${words}`;
    }
    return inOrderOf(observed, (of) => (of as Counted).key, (of) => (of as Counted).n) ?? takenBackWrong(observed, items, rows.filter(({ copy }) => copy === 0), whole, options.poison?.park === "key");
  },
  divisible: ["felt", "count", "report"],
});

/** Several ahead; no key, no state, and a letter goes in beside those that are under way. */
const ahead: SimulatedFlow = {
  name: "letters-ahead",
  letters: true,
  takenBack: "late",
  plan: planned(defineFlow("letters-ahead", (flow) => {
    const feed = flow.source("feed", simulatedSource("feed"), time("any"));
    const felt = flow.processor("felt", feed, map(async (item: Item, ctx): Promise<Done> => {
      await host().turn(ctx.log);
      behave(item, ctx);
      return { ...item, copy: 0, at: 0 };
    }, { concurrency: 3 }));
    const count = flow.processor("count", felt.keyBy(({ key }) => key), { parallelism: 2 }, counting());
    flow.sink("report", count, target<Counted>());
  })),
  feed: (chance, most) => feedOf(chance, { sources: { feed: 1 }, most, keys: 2, disorder: 0, trouble: ["terminal", "mended", "mended", "poison"], troubled: 0.5 }),
  wrong(observed, feed, whole) {
    const rows = observed.all as readonly Counted[];
    for (const key of "ab") if (rows.filter((row) => row.key === key).sort((a, b) => a.n - b.n).some(({ n }, i) => n !== i + 1)) return `the counts of key ${key} have holes`;
    return inOrderOf(observed, (of) => (of as Counted).key, (of) => (of as Counted).n) ?? takenBackWrong(observed, itemsOf(feed), rows, whole, false);
  },
  divisible: ["count", "report"],
};

/**
 * A replayed event took effect once, one that was dropped or that nobody asked for never, and who asked was told so. `parks`: in the
 * place of its key, else whenever.
 */
function takenBackWrong({ takenBack, lost }: Observed, items: readonly Item[], rows: readonly Counted[], whole: boolean, parks: boolean): string | undefined {
  const its: TakenBack = takenBack ?? { letters: [], asked: new Set(), told: [] };
  for (const { letter } of its.letters) {
    const { code, message } = letter, id = idIn(letter), item = items.find((other) => other.id === id);
    if (item === undefined || !isGivenUp(item) || code !== (item.trouble === "poison" || item.trouble === "timer" ? "POISON" : "TERMINAL")) return `event ${id} is a dead letter, ${code}: ${message}`;
  }
  for (const item of items) {
    const found = rows.filter(({ id }) => id === item.id), letters = its.letters.filter(({ letter }) => idIn(letter) === item.id);
    if (found.length > 1 || found.some(({ key }) => key !== item.key)) return `event ${item.id} took effect ${found.length} times`;
    if (whole && !isGivenUp(item) && found.length === 0) return `event ${item.id} is missing`;
    const wrong = lettersWrong(item, letters, its.asked, lost) ?? (isGivenUp(item) ? effectWrong(item, found.length === 1, letters, its.asked, whole, lost) : undefined);
    if (wrong !== undefined) return wrong;
  }
  for (const key of "ab") {
    const rank = (row: Counted): number => items.findIndex(({ id }) => id === row.id), inOrder = rows.filter((row) => row.key === key && !isLate(items, row.id, parks)).sort((a, b) => a.n - b.n);
    if (inOrder.some((row, i) => i > 0 && rank(row) < rank(inOrder[i - 1] as Counted))) return `key ${key} is not in its order: ${inOrder.map(({ id }) => id).join(" ")}`;
  }
  return lost ? undefined : toldWrong(its, whole);
}

/** Each is settled once, as it was asked for; and there is a second one only of what went in and failed at a later try. */
function lettersWrong(item: Item, letters: readonly KeptLetter[], asked: TakenBack["asked"], lost: boolean): string | undefined {
  const [first, second] = letters;
  if (letters.length > (isGivenUpTwice(item) ? 2 : 1) || (second !== undefined && !lost && first?.settled[0] !== "replayed")) return `event ${item.id} was given up again: ${letters.map(({ name }) => name).join(", ")}`;
  for (const { name, settled } of letters) {
    if (settled.length > 1) return `letter ${name} was settled more than once: ${settled.join(", ")}`;
    if (settled.some((is) => !asked.has(`${is === "replayed" ? "replay" : "drop"} ${name}`))) return `letter ${name} is ${settled[0]}, and nobody asked for that`;
    if (settled[0] === "replayed" && !goesThrough(item)) return `letter ${name} is replayed, though event ${item.id} fails again`;
  }
  return undefined;
}

/** What it did and that it is settled are in one record; but one of the two may be on its way while the flow has not ended. */
function effectWrong(item: Item, tookEffect: boolean, letters: readonly KeptLetter[], asked: TakenBack["asked"], whole: boolean, lost: boolean): string | undefined {
  const newest = letters[letters.length - 1], settled = newest?.settled[0], isTwice = isGivenUpTwice(item), { id } = item, isIn = settled === "replayed" && (!isTwice || letters.length === 2);
  if (whole && newest === undefined) return `event ${id} is no dead letter`;
  if (tookEffect && (settled === "dropped" || (whole && !isIn) || (newest === undefined ? !lost : !asked.has(`replay ${newest.name}`)))) return `event ${id} was given up and took effect, its letter is ${settled ?? "open"}`;
  if (whole && !tookEffect && isIn) return `event ${id} was replayed and is missing`;
  return whole && isTwice && letters.length === 1 && settled === "replayed" ? `event ${id} failed again and is no dead letter any more` : undefined;
}

/** Whether an event keeps no order with others of its key. */
function isLate(items: readonly Item[], id: number, parks: boolean): boolean {
  const trouble = items.find((item) => item.id === id)?.trouble;
  return trouble === "mended" || trouble === "terminal" || trouble === "timer" || (trouble === "poison" && !parks);
}

/** After a loss what was told may be lost, too. */
function toldWrong({ told, letters }: TakenBack, whole: boolean): string | undefined {
  const first = new Map<string, string>();
  for (const { letter: name, action, outcome } of told) {
    const its = letters.find((letter) => letter.name === name), words = JSON.stringify(outcome);
    if (outcome.is === "pending") continue;
    if (outcome.is === "failed") {
      const known = outcome.code === "ENDED" || (action === "replay" && (outcome.code === "Error" || outcome.code === "TerminalError" || (outcome.code === "RetryableError" && its?.letter.replay?.timer != null) || (outcome.code === "LETTER_FIXED" && its?.letter.replay === undefined)));
      if (!known) return `who asked to ${action} ${name} was told ${words}`;
      continue;
    }
    if (whole && its?.settled[0] !== outcome.is) return `who asked to ${action} ${name} was told ${words}, and it is ${its?.settled[0] ?? "open"}`;
    if ((first.get(name) ?? outcome.is) !== outcome.is) return `letter ${name} was said to be both, replayed and dropped`;
    first.set(name, outcome.is);
    if (!outcome.before && outcome.is !== (action === "replay" ? "replayed" : "dropped")) return `who asked to ${action} ${name} was told ${words}`;
  }
  return undefined;
}

/** Where the flows of flows.ts that give letters are run with somebody who takes them back: these instead. */
export const letterFlows: readonly SimulatedFlow[] = [
  keyed("letters", {}, ["retry", "terminal", "mended", "mended", "mended", "poison", "timer"]),
  keyed("letters-parked", { poison: { park: "key" } }, ["retry", "mended", "poison", "poison", "poison", "timer"]),
  ahead,
];
