import { suite } from "uvu";
import * as assert from "uvu/assert";
import { Gate } from "../../../../runtime/broker/nats/gate.ts";

const test = suite("gate");

test("no more than its width are through at a time, all come through, in order, and a failure makes room too", async () => {
  const gate = new Gate(2);
  let inside = 0;
  let most = 0;
  const order: number[] = [];
  const results = await Promise.allSettled(Array.from({ length: 10 }, (_, i) => gate.through(async () => {
    order.push(i);
    most = Math.max(most, ++inside);
    await new Promise(setImmediate);
    inside--;
    if (i % 3 === 0) throw new Error("no");
    return i;
  })));
  assert.is(most, 2);
  assert.equal(order, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  assert.equal(results.map((result) => result.status === "fulfilled"), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9].map((i) => i % 3 !== 0));
});

test.run();
