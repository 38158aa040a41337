import { suite } from "uvu";
import * as assert from "uvu/assert";
import { RunQueue } from "../../../runtime/testing/run-queue.ts";
import { SeededRandom } from "../../../runtime/testing/seeded-random.ts";

const test = suite("run queue");

/** The order in which the steps of some lanes run. */
function orderOf(seed: number, lanes = 4, steps = 5): readonly string[] {
  const queue = new RunQueue(new SeededRandom(seed)), ran: string[] = [];
  for (let l = 0; l < lanes; l++) {
    const lane = queue.lane();
    for (let s = 0; s < steps; s++) lane.add(() => ran.push(`${l}.${s}`));
  }
  while (queue.step());
  return ran;
}

test("each lane keeps its order, every step runs once, and the seed decides between lanes", () => {
  const orders = new Set<string>();
  for (let seed = 0; seed < 20; seed++) {
    const order = orderOf(seed);
    assert.equal(orderOf(seed), order);
    assert.is(order.length, 20);
    for (let l = 0; l < 4; l++) assert.equal(order.filter((name) => name.startsWith(`${l}.`)), [0, 1, 2, 3, 4].map((s) => `${l}.${s}`));
    orders.add(order.join());
  }
  assert.is(orders.size, 20);
});

test("a closed lane runs nothing more and takes nothing more", () => {
  const queue = new RunQueue(new SeededRandom(1)), closed = queue.lane(), open = queue.lane(), ran: string[] = [];
  closed.add(() => ran.push("no"));
  open.add(() => ran.push("yes"));
  closed.close();
  closed.add(() => ran.push("never"));
  while (queue.step());
  assert.equal([ran, queue.isEmpty, queue.step()], [["yes"], true, false]);
});

test("a lane that is closed by its own step ends there", () => {
  const queue = new RunQueue(new SeededRandom(1)), lane = queue.lane(), ran: number[] = [];
  lane.add(() => { ran.push(1); lane.close(); });
  lane.add(() => ran.push(2));
  while (queue.step());
  assert.equal([ran, queue.isEmpty], [[1], true]);
});

test("steps may add steps, to their own lane and to others", () => {
  const queue = new RunQueue(new SeededRandom(1)), a = queue.lane(), b = queue.lane(), ran: string[] = [];
  a.add(() => { ran.push("a1"); a.add(() => ran.push("a2")); b.add(() => ran.push("b1")); });
  while (queue.step());
  assert.equal([...ran].sort(), ["a1", "a2", "b1"]);
  assert.ok(queue.isEmpty);
});

test("numbers of a seed are spread over 0 to 1, and bytes over all values", () => {
  const random = new SeededRandom(5), numbers = Array.from({ length: 2_000 }, () => random.next());
  assert.ok(numbers.every((n) => n >= 0 && n < 1));
  for (let tenth = 0; tenth < 10; tenth++) {
    const share = numbers.filter((n) => Math.floor(n * 10) === tenth).length;
    assert.ok(share > 140 && share < 260, `${share} of 2,000 in tenth ${tenth}`);
  }
  assert.ok(new Set(random.bytes(4_000)).size > 250);
  assert.is.not(Buffer.compare(new SeededRandom(1).bytes(8), new SeededRandom(2).bytes(8)), 0);
});

test.run();
