// A clock that runs so many times faster: for tests of what takes seconds by its protocol, on real timers.
import type { Clock } from "../../runtime/event/clock.ts";

export function fastClock(times: number): Clock {
  const begun = Date.now();
  return {
    now: () => begun + (Date.now() - begun) * times,
    monotonic: () => performance.now() * times,
    after(ms, call) {
      const timer = setTimeout(call, ms / times);
      timer.unref();
      return () => clearTimeout(timer);
    },
  };
}
