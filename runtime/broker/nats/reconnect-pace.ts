// When the client library may dial next. Both libraries reckon by the wall clock since their last attempt: where that is set back by hours
// they would not dial for hours. This answers by monotonic time what they ask for as a delay.

const PACE_MS = 250;
const JITTER_MS = 250;
/** "As long ago as you like": dial now, whatever the wall clock says. */
const NOW = -Number.MAX_SAFE_INTEGER;

/** For `reconnectDelayHandler`: asked before each attempt, lets one through every 250 to 500 ms, shared among so many servers. */
export function reconnectPace(servers: number, now: () => number = () => performance.now(), random: () => number = Math.random): () => number {
  let next = -Infinity;
  return () => {
    const at = now();
    if (at < next) return next - at;
    next = at + (PACE_MS + random() * JITTER_MS) / servers;
    return NOW;
  };
}
