// The flows that lose what the broker or the disk had acknowledged: one with state, dead letters and a sink in the order of arrival from
// two senders, one with windows and a sink in the order of time. And what one thread would have made of their input.
import { defineFlow, type Emits, type Flow, type StageOptions, TerminalError } from "millrace";
import { aggregate, generate, jsonl, stateful, tumbling } from "millrace/actors";
import { windowSums } from "../support/window-sums.ts";
import type { Kind, Row } from "./matrix-kinds.ts";

interface Item { readonly n: number; readonly key: string; readonly at: number }

export const lossNames = ["sums", "windows"] as const;
export type LossName = (typeof lossNames)[number];

export interface LossOptions {
  readonly folder: string;
  /** Events a second; as fast as they are taken where it is not given. */
  readonly rate?: number;
}

export const lossEvents = 1_600;
const begin = Date.UTC(2026, 0, 1), windowMs = 5_000;
const item = (n: number): Item => ({ n, key: `k${(n * 7) % 11}`, at: begin + n * 100 - ((n * 37) % 5) * 61 });
const isOdd = ({ n }: Item): boolean => n % 97 === 3;
const items = Array.from({ length: lossEvents }, (_, n) => item(n));
/** What cannot be, such as a journal that somebody else has, is soon given up. */
const supervision = { backoff: { min: 5, max: 100 } } as const, stage: StageOptions = { mailbox: { maxFrames: 64 }, supervision }, two: StageOptions = { ...stage, parallelism: 2 };

export function outputOf(folder: string, name: LossName): string {
  return `${folder}/${name}.jsonl`;
}

export function lossFlow(name: LossName, { folder, rate }: LossOptions): Flow {
  return defineFlow(name, { supervision }, (flow) => {
    const feed = flow.source("feed", generate<Item>({ count: lossEvents, batch: 16, make: item, ...(rate === undefined ? {} : { rate }) }), { time: { of: ({ at }) => at, outOfOrder: 400 }, supervision });
    const byKey = feed.keyBy(({ key }) => key), output = jsonl.sink(outputOf(folder, name));
    if (name === "sums") {
      flow.sink("out", flow.processor("work", byKey, two, stateful({
        initial: () => ({ sum: 0 }),
        on: ({ sum }: { sum: number }, given: Item, ctx: Emits<Row>) => {
          if (isOdd(given)) throw new TerminalError("never");
          ctx.emit({ key: given.key, n: given.n, sum: sum + given.n });
          return { sum: sum + given.n };
        },
      })), stage, output);
    } else {
      flow.sink("out", flow.processor("work", byKey, two, aggregate({
        window: tumbling(windowMs), initial: () => ({ count: 0, sum: 0 }), add: (value: { count: number; sum: number }, { n }: Item) => ({ count: value.count + 1, sum: value.sum + n }),
        result: (value, { key, window }) => ({ key, start: window.start, ...value }),
      })), { ...stage, order: "time" }, output);
    }
  });
}

/** What must be in the sink and among the dead letters. */
export const lossResults: Readonly<Record<LossName, Pick<Kind, "rows" | "order" | "letters">>> = {
  sums: { rows: sums(), order: "key", letters: items.filter(isOdd).map(({ n }) => n) },
  windows: { rows: windowSums(items, windowMs), order: "key", letters: [] },
};

function sums(): Row[] {
  const all = new Map<string, number>();
  return items.filter((one) => !isOdd(one)).map(({ key, n }) => {
    all.set(key, (all.get(key) ?? 0) + n);
    return { key, n, sum: all.get(key) as number };
  });
}
