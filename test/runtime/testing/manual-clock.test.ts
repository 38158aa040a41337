import { suite } from "uvu";
import * as assert from "uvu/assert";
import { ManualClock } from "../../../runtime/testing/manual-clock.ts";

const test = suite("manual clock");

test("timers run when the clock passes them, in order of time, then of setting, each at its own time", () => {
  const clock = new ManualClock(1_000);
  const ran: [string, number][] = [];
  const note = (name: string) => () => ran.push([name, clock.now()]);
  clock.after(20, note("c"));
  clock.after(10, note("a"));
  clock.after(10, note("b"));
  clock.after(10, () => clock.after(5, note("inner")));
  clock.after(100, note("late"));
  assert.is(clock.next, 10);
  clock.advance(50);
  assert.equal(ran, [["a", 1_010], ["b", 1_010], ["inner", 1_015], ["c", 1_020]]);
  assert.is(clock.now(), 1_050);
  assert.is(clock.monotonic(), 50);
  assert.is(clock.next, 50);
});

test("the wall clock can be set without anything falling due", () => {
  const clock = new ManualClock(1_000);
  let ran = 0;
  clock.after(10, () => ran++);
  clock.setWall(500_000);
  assert.is(ran, 0);
  assert.equal([clock.now(), clock.monotonic()], [500_000, 0]);
  clock.advance(10);
  assert.is(ran, 1);
  assert.equal([clock.now(), clock.monotonic(), clock.pending], [500_010, 10, 0]);
});

test("a jump of the monotonic clock calls what is due once, late, and leaves the wall clock", () => {
  const clock = new ManualClock(1_000), ran: [string, number, number][] = [];
  const note = (name: string) => () => ran.push([name, clock.now(), clock.monotonic()]);
  let cancel = (): void => {};
  clock.after(5, () => { note("first")(); cancel(); clock.after(0, note("set by it")); });
  cancel = clock.after(7, note("cancelled by it"));
  clock.after(20, note("last"));
  clock.after(21, note("not due"));
  assert.is(clock.jump(20), 2);
  assert.equal(ran, [["first", 1_000, 20], ["last", 1_000, 20]]);
  assert.equal([clock.pending, clock.next], [2, 0]);
  clock.advance(1);
  assert.equal(ran.slice(2), [["set by it", 1_000, 20], ["not due", 1_001, 21]]);
  assert.is(clock.jump(1_000), 0);
});

test("a cancelled timer does not run", () => {
  const clock = new ManualClock();
  let ran = 0;
  const cancel = clock.after(10, () => ran++);
  cancel();
  cancel();
  clock.advance(20);
  assert.is(ran, 0);
  assert.is(clock.next, undefined);
});

test("a timer that is cancelled by one of the same instant does not run", () => {
  const clock = new ManualClock(), ran: string[] = [];
  let cancel = (): void => {};
  clock.after(10, () => cancel());
  cancel = clock.after(10, () => ran.push("no"));
  clock.after(10, () => ran.push("yes"));
  clock.advance(10);
  assert.equal([ran, clock.pending], [["yes"], 0]);
});

test("elapse lets promises settle between timers", async () => {
  const clock = new ManualClock(), ran: string[] = [];
  const work = async (): Promise<void> => {
    await Promise.resolve();
    await Promise.resolve();
    ran.push("first done");
  };
  clock.after(1, () => void work());
  clock.after(2, () => ran.push("second"));
  await clock.elapse(2);
  assert.equal(ran, ["first done", "second"]);
});

test("timers of 0 ms that set each other without end are an error, not a hang", () => {
  const clock = new ManualClock();
  const again = (): void => void clock.after(0, again);
  again();
  assert.throws(() => clock.advance(0), /again and again/);
});

test.run();
