import { suite } from "uvu";
import * as assert from "uvu/assert";
import { average, count, first, last, map, max, maxBy, min, minBy, pipe, sum, summarize, tumbling } from "../../actors/index.ts";
import { TerminalError } from "../../runtime/index.ts";
import { OperatorTwin } from "../support/operator-twin.ts";
import { problemsOf } from "../support/problems.ts";

const test = suite("summarize");
interface Sale { id: string; amount: number }
const amount = (sale: Sale) => sale.amount;
const everything = {
  count: count<Sale>(), large: count((sale: Sale) => sale.amount > 2), sum: sum(amount), min: min(amount), max: max(amount), average: average(amount),
  first: first<Sale>(), last: last<Sale>(), maxBy: maxBy(amount), minBy: minBy(amount),
};
/** In front of a summary that stands alone: what its events are, it learns from what comes before it. */
const sales = map((sale: Sale) => sale);
const sale = (id: string, of: number): Sale => ({ id, amount: of });

test("each calculation is under its name, beside key and window", () => {
  const twin = new OperatorTwin(pipe(sales, summarize({ window: tumbling(10), of: everything })));
  const [a, b, c] = [sale("a", 1), sale("b", 5), sale("c", 3)];
  for (const [data, time] of [[b, 4], [a, 7], [c, 2]] as const) assert.is(twin.send(data, { key: "k", time }), undefined);
  twin.advance(9);
  assert.equal(twin.data, [{
    key: "k", window: { start: 0, end: 10 },
    count: 3, large: 2, sum: 9, min: 1, max: 5, average: 3, first: c, last: a, maxBy: b, minBy: a,
  }]);
});

test("of one event all of them are that one", () => {
  const twin = new OperatorTwin(pipe(sales, summarize({ of: everything })));
  const only = sale("a", -2);
  twin.send(only, { key: "k", time: 4 });
  assert.equal(twin.data, [{ key: "k", count: 1, large: 0, sum: -2, min: -2, max: -2, average: -2, first: only, last: only, maxBy: only, minBy: only }]);
});

test("of several events at one time the first that came is first, the last that came is last", () => {
  const twin = new OperatorTwin(pipe(sales, summarize({ of: { first: first<Sale>(), last: last<Sale>() }, result: (values) => [values.first.id, values.last.id] })));
  for (const id of ["a", "b", "c"]) twin.send(sale(id, 0), { key: "k", time: 5 });
  assert.equal(twin.data.at(-1), ["a", "c"]);
});

test("of equal ones maxBy and minBy keep the earliest, in whatever order they come", () => {
  for (const order of [["a", "b"], ["b", "a"]] as const) {
    const twin = new OperatorTwin(pipe(sales, summarize({ of: { highest: maxBy(amount), lowest: minBy(amount) }, result: ({ highest, lowest }) => [highest.id, lowest.id] })));
    for (const id of order) twin.send(sale(id, 7), { key: "k", time: id === "a" ? 1 : 2 });
    assert.equal(twin.data.at(-1), ["a", "a"], order.join());
  }
});

test("its state is the results so far, by window where there is one", () => {
  const running = new OperatorTwin(pipe(sales, summarize({ of: { n: count<Sale>(), average: average(amount) } })));
  for (const of of [1, 2]) running.send(sale("a", of), { key: "k" });
  assert.equal(running.state("k"), { n: 2, average: 1.5 });
  assert.is(running.state("other"), undefined);
  const windowed = new OperatorTwin(pipe(sales, summarize({ window: tumbling(10), of: { n: count<Sale>() } })));
  windowed.send(sale("a", 1), { key: "k", time: 12 });
  assert.equal(windowed.state("k"), [{ window: { start: 10, end: 20 }, value: { n: 1 } }]);
});

test("result gets the values, and key, window and final", () => {
  const twin = new OperatorTwin(pipe(sales, summarize({ window: tumbling(10), of: { n: count<Sale>() }, result: (values, of) => ({ ...values, ...of }) })));
  twin.send(sale("a", 1), { key: "k", time: 2 });
  twin.advance(9);
  assert.equal(twin.data, [{ n: 1, key: "k", window: { start: 0, end: 10 }, final: true }]);
});

for (const [what, calculation] of Object.entries({ sum: sum(amount), min: min(amount), max: max(amount), average: average(amount), maxBy: maxBy(amount), minBy: minBy(amount) })) {
  test(`an event of which ${what} finds no number is given up, and the others count`, () => {
    const twin = new OperatorTwin(pipe(sales, summarize({ of: { n: count<Sale>(), [what]: calculation } as { n: ReturnType<typeof count<Sale>> } })));
    twin.send(sale("a", 1), { key: "k" });
    for (const bad of [Number.NaN, undefined, "2"]) {
      assert.throws(() => twin.send(sale("b", bad as number), { key: "k" }), (thrown: unknown) => thrown instanceof TerminalError && thrown.message.startsWith(`${what} of summarize got `));
    }
    twin.send(sale("c", 1), { key: "k" });
    assert.is((twin.data.at(-1) as { n: number }).n, 2);
  });
}

test("a calculation that is added, or of another kind under an old name, begins anew; the others go on", () => {
  const before = new OperatorTwin(pipe(sales, summarize({ of: { n: count<Sale>(), x: average(amount) } })));
  before.send(sale("a", 4), { key: "k" });
  const after = new OperatorTwin(pipe(sales, summarize({ of: { n: count<Sale>(), x: sum(amount), most: max(amount) } })));
  after.adopt(before);
  after.send(sale("b", 6), { key: "k" });
  assert.equal(after.data, [{ key: "k", n: 2, x: 6, most: 6 }]);
});

test("what is wrong with its options is listed", () => {
  assert.equal(problemsOf(summarize({ of: { n: () => 1, key: count(), total: sum("amount" as never) } } as never)), [
    'OPTION_INVALID summarize has a function as "n": give a calculation, such as count() or sum((data) => data.amount)',
    'OPTION_INVALID summarize has a calculation named "key", which its results have already: rename it, or give result',
    'OPTION_INVALID summarize has "total", of which sum got "amount" where a function belongs: give sum((data) => data.amount)',
  ]);
  assert.equal(problemsOf(summarize({ of: {} })), ["OPTION_INVALID summarize has no calculation: give one, of: { requests: count() }"]);
  assert.equal(problemsOf(summarize({} as never)), ["OPTION_INVALID summarize has no of: give an object of calculations, { requests: count() }"]);
});

test.run();
