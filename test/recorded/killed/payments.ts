// The input of the recorded run, and by a plain script what must come out of it.
import { SeededRandom } from "../../../runtime/testing/seeded-random.ts";
import type { Balance, Minute, Payment } from "./flow.ts";

const count = 1_000, begin = Date.UTC(2026, 0, 1), bonus = 1_000_000, afterMs = 30_000;

export function payments(): readonly Payment[] {
  const random = new SeededRandom(4);
  return Array.from({ length: count }, (_, n) => ({ n, account: `acc-${Math.floor(random.next() * 20)}`, amount: n % 400 === 123 ? 666 : Math.floor(random.next() * 600), at: begin + n * 300 }));
}

/** Long lines: the source reads the file in several pieces, so that there are several turns. */
export const paymentLines = (): string => payments().map((payment) => `${JSON.stringify({ ...payment, note: "-".repeat(400) })}\n`).join("");

/** Times rise, so each account's payments come in order, and a timer comes before the first later one of its account. */
export function expected(): { readonly ledger: readonly Balance[]; readonly report: readonly Minute[]; readonly refused: readonly number[] } {
  const accounts = new Map<string, { balance: number; payments: number; due: number | undefined }>(), minutes = new Map<string, Minute>(), ledger: Balance[] = [], refused: number[] = [];
  for (const { n, account, amount, at } of payments()) {
    if (amount === 666) { refused.push(n); continue; }
    const state = accounts.get(account) ?? { balance: 0, payments: 0, due: undefined };
    if (state.due !== undefined && state.due <= at) { state.balance += bonus; state.due = undefined; }
    // A timer of the same name is set anew.
    if (n % 50 === 0) state.due = at + afterMs;
    state.balance += amount;
    state.payments++;
    accounts.set(account, state);
    ledger.push({ account, n, balance: state.balance, payments: state.payments, at });
    const start = Math.floor(at / 60_000) * 60_000, minute = minutes.get(`${account} ${start}`) ?? { account, start, count: 0, amount: 0 };
    minutes.set(`${account} ${start}`, { ...minute, count: minute.count + 1, amount: minute.amount + amount });
  }
  return { ledger, report: [...minutes.values()], refused };
}
