import { suite } from "uvu";
import * as assert from "uvu/assert";
import { StuckServer } from "../../../runtime/node/stuck-server.ts";
import { ManualClock } from "../../../runtime/testing/manual-clock.ts";

const test = suite("stuck server");

function world({ fails = false } = {}) {
  const clock = new ManualClock(), starts: number[] = [], said: string[] = [];
  const disk = { free: 1_000_000_000 };
  const stuck = new StuckServer({
    now: () => clock.monotonic(), free: () => Promise.resolve(disk.free), said: (error) => said.push(error.message),
    restart: () => { starts.push(clock.monotonic()); return fails ? Promise.reject(new Error("no")) : Promise.resolve(); },
  });
  const found = async (seconds: number): Promise<void> => {
    for (let second = 0; second < seconds; second += 10) {
      await stuck.found(["a"]);
      clock.advance(10_000);
    }
  };
  return { clock, starts, said, disk, found, stuck };
}

test("where there is room the server is started again at once, then later each time while it helps nothing, at most each 5 min", async () => {
  for (const fails of [false, true]) {
    const { starts, found } = world({ fails });
    await found(1_500);
    assert.equal(starts.slice(0, 7), [0, 10_000, 30_000, 70_000, 150_000, 310_000, 610_000]);
    assert.is(starts.at(-1), 1_210_000);
  }
});

test("where there is none it is left alone, which is said once a minute with what to do; with room it is started", async () => {
  const { starts, said, disk, found } = world();
  disk.free = 3 * 1024 * 1024;
  await found(120);
  assert.equal([starts, said.length], [[], 2]);
  assert.match(said[0] as string, /NATS_NOT_WRITING.*Make room: 3 MiB are free/);
  disk.free = 1_000_000_000;
  await found(10);
  assert.equal(starts, [120_000]);
  assert.match(said[2] as string, /There is room again/);
});

test("after a quiet time it begins anew; two at a time are one", async () => {
  const { clock, starts, found, stuck } = world();
  await found(100);
  clock.advance(3_600_000);
  const before = starts.length;
  await Promise.all([stuck.found(["a"]), stuck.found(["b"])]);
  assert.is(starts.length, before + 1);
  clock.advance(10_000);
  await stuck.found(["a"]);
  assert.is(starts.length, before + 2);
});

test.run();
