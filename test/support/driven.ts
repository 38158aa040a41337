// Time that goes on only where nothing else can happen: for what waits on a manual clock.
import { type ManualClock, settle } from "../../runtime/testing/manual-clock.ts";

/** What a promise comes to, with the clock moved from timer to timer until it does; an error where no timer is left or `ms` are past. */
export async function driven<T>(clock: ManualClock, promise: Promise<T>, ms = 600_000): Promise<T> {
  let settled = false;
  promise.then(() => { settled = true; }, () => { settled = true; });
  await until(clock, "a promise settles", () => settled, ms);
  return promise;
}

/** Moves the clock from timer to timer until `check` holds. Where no timer is left it waits a while for I/O. */
export async function until(clock: ManualClock, what: string, check: () => boolean, ms = 600_000): Promise<void> {
  const end = clock.monotonic() + ms, wallEnd = performance.now() + 60_000;
  // What needs no timer may need several turns of the event loop, one for each later task.
  for (let quiet = 0; ;) {
    await settle();
    if (check()) return;
    if (++quiet < 20) continue;
    const { next } = clock;
    if (next === undefined ? performance.now() > wallEnd : clock.monotonic() + next > end) throw new Error(`${what}: it never happens, ${next === undefined ? "no timer is set" : `${ms} ms are past`}`);
    if (next === undefined) continue;
    clock.advance(next);
    quiet = 0;
  }
}
