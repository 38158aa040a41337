// test deadline: 240 s
// A disk that is full for a while costs time and nothing else.
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { diskFull } from "./disk-full.ts";

const test = suite("disk full");

for (const [which, under] of [["journals", "the journals"], ["server", "nats-server"]] as const) {
  test(`the disk full under ${under}: the flow suspends, says so, goes on when there is room, and the result is exact`, async () => {
    const seed = Date.now() % 1_000_000, result = await diskFull(which, { seed, events: 20_000, rate: 5_000 });
    if (result === undefined) return console.log("an ordinary user has no small disk on this system: nothing was tried");
    assert.equal(result.wrongs, [], `seed ${seed}`);
    assert.is(result.missing + result.duplicates, 0);
    assert.match(result.said, /unavailable/);
  });
}

test.run();
