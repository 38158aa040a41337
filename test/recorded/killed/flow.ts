// The flow of the recorded data folders (record.ts): kept as it was recorded, since its run is to be finished by every later program.
import { defineFlow, TerminalError } from "millrace";
import { aggregate, jsonl, map, stateful, tumbling } from "millrace/actors";

export interface Payment { n: number; account: string; amount: number; at: number }
interface Line extends Payment { note: string }
export interface Balance { account: string; n: number; balance: number; payments: number; at: number }
export interface Minute { account: string; start: number; count: number; amount: number }

/** Where the recording kills itself. */
const killAt = Number(process.env["MILLRACE_RECORD_KILL"]);

export default defineFlow("payments", (flow) => {
  const payments = flow.source("payments", jsonl.source<Line>("payments.jsonl"), { time: { of: ({ at }) => at, outOfOrder: "1s" } });
  const checked = flow.processor("checked", payments, map(({ n, account, amount, at }: Line): Payment => {
    if (amount === 666) throw new TerminalError("no such amount");
    return { n, account, amount, at };
  }));
  const byAccount = checked.keyBy((payment: Payment) => payment.account);
  const balances = flow.processor("balances", byAccount, { parallelism: 2, order: "time" }, stateful<Payment, string, { balance: number; payments: number }, Balance>({
    initial: () => ({ balance: 0, payments: 0 }),
    on: (state, { n, account, amount, at }: Payment, ctx) => {
      if (n === killAt) process.kill(process.pid, "SIGKILL");
      if (n % 50 === 0) ctx.timer("bonus", { at: at + 30_000 });
      const after = { balance: state.balance + amount, payments: state.payments + 1 };
      ctx.emit({ account, n, ...after, at });
      return after;
    },
    onTimer: (state) => ({ ...state, balance: state.balance + 1_000_000 }),
  }));
  const minutes = flow.processor("minutes", byAccount, { parallelism: 2 }, aggregate({
    window: tumbling("1m"),
    initial: () => ({ count: 0, amount: 0 }),
    add: (sum, { amount }: Payment) => ({ count: sum.count + 1, amount: sum.amount + amount }),
    result: (sum, { key, window }): Minute => ({ account: String(key), start: window.start, ...sum }),
  }));
  flow.sink("ledger", balances, { order: "time" }, jsonl.sink("ledger.jsonl"));
  flow.sink("report", minutes, jsonl.sink("report.jsonl"));
});
