// How a user tests a flow: no server, no disk, no waiting. Run it with `node --conditions=source --import tsx examples/fraud.test.ts`.
import assert from "node:assert/strict";
import { test } from "node:test";
import { advance, at, crash, end, testFlow } from "millrace/testing";
import fraud from "./fraud.ts";

const payment = (n: number, country = "NO") => ({ id: `p${n}`, account: "acc-1", amount: 10, country, at: `2024-01-01T00:0${n}:00Z` });

test("the sixth payment within ten minutes raises an alert, also over a crash", async () => {
  await using t = await testFlow(fraud);
  await t.send("payments", ...[1, 2, 3, 4, 5].map((n) => payment(n)), crash("velocity", "after-commit"), payment(6), advance("1m"));
  assert.deepEqual(t.output("alerts"), [{ account: "acc-1", reason: "too-many", payments: 6 }]);
  assert.equal(t.query("velocity", "acc-1", "count"), 6);
});

test("ten quiet minutes forget the account", async () => {
  await using t = await testFlow(fraud);
  await t.send("payments", payment(1), advance("10m"));
  assert.equal(t.state("velocity", "acc-1"), undefined);
  await t.send("payments", at("2024-01-01T00:20:00Z", payment(2)), advance("1m"));
  assert.equal(t.query("velocity", "acc-1", "count"), 1);
  await t.send("payments", end);
  assert.deepEqual(t.events("alerts"), []);
});

test("payments that come in another order than they were made count in theirs", async () => {
  await using t = await testFlow(fraud);
  await t.send("payments", payment(1), payment(3, "SE"), payment(2, "DK"), end);
  assert.deepEqual(t.output("alerts"), [{ account: "acc-1", reason: "far-apart", payments: 3 }]);
});

test("a payment that is none is given up with its reason", async () => {
  await using t = await testFlow(fraud);
  await t.send("payments", { ...payment(1), amount: -10 }, payment(2), end);
  assert.deepEqual(t.deadLetters("payments").map(({ reason, event }) => [reason, event.data]), [["SCHEMA", { ...payment(1), amount: -10 }]]);
  assert.equal(t.output("payments").length, 1);
});

for (const point of ["before-handler", "before-commit", "after-commit", "after-journal", "while-sending", "after-sending"] as const) {
  test(`whatever dies ${point}, there is one alert for each payment above five`, async () => {
    await using t = await testFlow(fraud, { alwaysReplay: true });
    for (let n = 1; n <= 8; n++) await t.send("payments", payment(n), crash("payments", point), crash("velocity", point), crash("alerts", point));
    await t.end();
    assert.deepEqual(t.output("alerts").map(({ payments }) => payments), [6, 7, 8]);
  });
}
