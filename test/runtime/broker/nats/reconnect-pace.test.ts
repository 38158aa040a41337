import { suite } from "uvu";
import * as assert from "uvu/assert";
import { reconnectPace } from "../../../../runtime/broker/nats/reconnect-pace.ts";

const test = suite("reconnect pace");
/** What the libraries ask themselves, with a wall clock that was set back by so much since their last attempt. */
const dials = (delay: number, setBackMs: number) => delay <= -setBackMs;
const day = 86_400_000;

test("the first attempt is made at once, also where the wall clock was set back by years", () => {
  assert.ok(dials(reconnectPace(1)(), 400 * day));
});

test("between two attempts lie 250 to 500 ms of monotonic time; until then it says how long to wait", () => {
  for (const chance of [0, 0.5, 1]) {
    let now = 1_000;
    const pace = reconnectPace(1, () => now, () => chance), ms = 250 + chance * 250;
    assert.ok(dials(pace(), day));
    assert.is(pace(), ms);
    now += ms - 1;
    assert.is(pace(), 1);
    now += 1;
    assert.ok(dials(pace(), day));
    assert.is(pace(), ms);
  }
});

test("of three servers each has its turn within the same time", () => {
  let now = 0;
  const pace = reconnectPace(3, () => now, () => 0);
  pace();
  now = 250 / 3;
  assert.ok(dials(pace(), day));
});

test.run();
