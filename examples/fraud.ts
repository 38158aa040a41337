// Payments of a card account that come too fast, or from too many countries within ten minutes: an alert for each. The payments in
// data/payments.jsonl are made up.
import { defineFlow, type Emits } from "millrace";
import { jsonl, stateful } from "millrace/actors";
import { z } from "zod";

const Payment = z.object({ id: z.string(), account: z.string(), amount: z.number().positive(), country: z.string(), at: z.iso.datetime() });

interface Alert {
  account: string;
  reason: "too-many" | "far-apart";
  payments: number;
}

export default defineFlow("fraud", (flow) => {
  const payments = flow.source("payments", jsonl.source("examples/data/payments.jsonl"), {
    schema: Payment,
    time: { of: (payment) => payment.at, outOfOrder: "1m" },
  });

  const velocity = flow.processor("velocity", payments.keyBy((payment) => payment.account), { parallelism: 8, order: "time" }, stateful({
    initial: () => ({ count: 0, countries: [] as string[] }),
    on(state, payment, ctx: Emits<Alert>) {
      const count = state.count + 1;
      const countries = [...new Set([...state.countries, payment.country])];
      if (count > 5) ctx.emit({ account: payment.account, reason: "too-many", payments: count });
      if (countries.length > 2) ctx.emit({ account: payment.account, reason: "far-apart", payments: count });
      ctx.timer("quiet", "10m");
      return { count, countries };
    },
    onTimer: () => null,
    queries: { count: (state) => state.count },
  }));

  const alerts = flow.sink("alerts", velocity, { order: "time" }, jsonl.sink(".millrace/out/alerts.jsonl"));
  return { payments, velocity, alerts };
});
