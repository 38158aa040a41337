// What the types of a test say: what may be sent, what comes out, and what is refused. Compiled, never run: types.test.ts holds it.
import { defineFlow, type Emits, type FlowEvent } from "millrace";
import * as m from "millrace/actors";
import { advance, at, crash, end, testFlow } from "../../runtime/testing/index.ts";
import { z } from "zod";

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
declare function is<A, B>(...proof: Equal<A, B> extends true ? [] : [{ expected: A; found: B }]): void;

const Payment = z.object({ account: z.string(), amount: z.number(), at: z.iso.datetime() });
interface Alert { account: string; payments: number }

const fraud = defineFlow("fraud", (flow) => {
  const payments = flow.source("payments", m.jsonl.source("p.jsonl"), { schema: Payment, time: (payment) => payment.at });
  const velocity = flow.processor("velocity", payments.keyBy((payment) => payment.account), { parallelism: 8 }, m.stateful({
    initial: () => ({ count: 0 }),
    on(state, payment, ctx: Emits<Alert>) { ctx.emit({ account: payment.account, payments: state.count }); return { count: state.count + 1 }; },
    onTimer: () => null,
    queries: { count: (state) => state.count, above: (state, than: number) => state.count > than },
  }));
  const byHour = flow.processor("by-hour", payments.keyBy((payment) => payment.amount), m.aggregate({ window: m.tumbling("1h"), late: true, initial: () => 0, add: (n) => n + 1 }));
  const sorted = flow.processor("sorted", velocity, m.branch({ big: (alert) => alert.payments > 9 }));
  const alerts = flow.sink("alerts", sorted, m.jsonl.sink("a.jsonl"));
  return { payments, velocity, byHour, sorted, alerts };
});
const pay = { account: "a", amount: 1, at: "2024-01-01T00:00:00Z" };

export async function tested(): Promise<void> {
  await using t = await testFlow(fraud, { start: "2024-01-01", seed: 2, alwaysReplay: true });
  await t.send("payments", pay, at(5, pay, { id: "x" }), advance("10m"), crash("velocity"), crash("by-hour", "while-sending"), end);
  await t.advance(5);
  await t.crash("velocity", "after-commit");
  await t.end();
  is<readonly Alert[], ReturnType<typeof t.output<"velocity">>>();
  const alerts = t.output("alerts"), big = t.output("sorted", "big"), late = t.output("byHour", "late"), events = t.events("alerts");
  is<readonly Alert[], typeof alerts>();
  is<readonly Alert[], typeof big>();
  is<readonly z.infer<typeof Payment>[], typeof late>();
  is<readonly FlowEvent<Alert>[], typeof events>();
  const state = t.state("velocity", "a"), windows = t.state("byHour", 5), count = t.query("velocity", "a", "count"), above = t.query("velocity", "a", "above", 5);
  is<{ count: number } | undefined, typeof state>();
  is<number | undefined, NonNullable<typeof windows>[number]["value"] | undefined>();
  is<number | undefined, typeof count>();
  is<boolean | undefined, typeof above>();
  const letters = t.deadLetters("velocity");
  is<string | undefined, (typeof letters)[number]["reason"] | undefined>();

  // @ts-expect-error data of another shape
  await t.send("payments", { ...pay, amount: "1" });
  // @ts-expect-error the same, at a time
  await t.send("payments", at(5, { account: "a" }));
  // @ts-expect-error only sources are sent events
  await t.send("velocity", pay);
  // @ts-expect-error a stage that is not shown
  t.output("velocities");
  // @ts-expect-error an output that is not there
  t.output("sorted", "small");
  // @ts-expect-error a stage without state
  t.state("sorted", "a");
  // @ts-expect-error a key of another type
  t.state("velocity", 5);
  // @ts-expect-error a question that is not answered
  t.query("velocity", "a", "sum");
  // @ts-expect-error an argument of another type
  t.query("velocity", "a", "above", "5");
  // @ts-expect-error no length of time
  advance("10 minutes");
  // @ts-expect-error no point of a turn
  crash("velocity", "in the middle");
  // @ts-expect-error what a stage gave is not to be changed
  alerts.push({ account: "a", payments: 1 });
}
