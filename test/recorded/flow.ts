// The flow whose log and journal are recorded (record.ts): state of all kinds of data, timers of both clocks, events held in the
// order of time, one that waits for a later try, a dead letter, state large enough for records in parts and snapshots in chunks.
import { defineFlow, RetryableError, TerminalError } from "millrace";
import { collect, jsonl, stateful } from "millrace/actors";

export interface Entry { account: string | number; amount: number; at: number; pad?: number }
export interface Account { balance: number; exact: bigint; amounts: Map<number, number>; seen: Set<number>; last: Date; raw: Uint8Array; pad: string }

export const recordedFlow = defineFlow("ledger", (flow) => {
  const entries = flow.source("entries", jsonl.source<Entry>("none.jsonl"), { time: { of: (entry) => entry.at, outOfOrder: "1s" } });
  const accounts = flow.processor("accounts", entries.keyBy((entry) => entry.account), { order: "time" }, stateful<Entry, string | number, Account, { account: string | number; balance: number; at: number }>({
    initial: (): Account => ({ balance: 0, exact: 0n, amounts: new Map(), seen: new Set(), last: new Date(0), raw: new Uint8Array(), pad: "" }),
    on: (state, { account, amount, at, pad = 0 }: Entry, ctx) => {
      if (amount === 1_313) throw new RetryableError("not yet", { retryAfter: "1h" });
      if (amount === 666) throw new TerminalError("no such amount");
      if (amount === 100) ctx.timer("close", { at: at + 50 });
      if (amount === 99) ctx.timer("audit", { at: at + 1e12 }, { clock: "wall" });
      if (amount % 10 === 0) ctx.timer("idle", { at: at + 100_000 });
      ctx.emit({ account, balance: state.balance + amount, at });
      return {
        balance: state.balance + amount, exact: state.exact * -3n + BigInt(Math.trunc(amount)), amounts: new Map([...state.amounts, [amount, at] as const].slice(-3)), seen: new Set([...state.seen, amount].slice(-3)),
        last: new Date(at), raw: Uint8Array.of(amount & 255, 0, 255), pad: "ü".repeat(pad),
      };
    },
    onTimer: (state, { name }) => (name === "close" ? null : state),
  }));
  flow.sink("report", accounts, collect<unknown>([]));
});
