// How V8 keeps what the engine makes. For processes that are ours alone: the command line, the bench.
import { setFlagsFromString } from "node:v8";

const flags: readonly string[] = [
  // What is made is young. V8 learns in a burst, when much of what an event makes outlives a scavenge, to put such objects among the old
  // ones at once (allocation site pretenuring), and hardly unlearns it: at a few events a time they then die among the old ones, and each
  // scavenge copies whatever they point to. Measured at 1,000 events/s after a burst: a scavenge takes 1.5 ms in place of 3.5, and the
  // old space grows by a sixth.
  "--no-allocation-site-pretenuring",
  // The old space is collected when it has grown to three and a half times what was left of it, a little less than V8's own most. Where little
  // is made a second V8 lets it grow by a tenth, and collects it each second: each time all that is under way waits for 20 to 40 ms. Measured
  // beside a flow that is held back (`test:faults -- neighbours`): one collection in 8 s in place of ten, p99 halved.
  "--heap-growing-percent=250", "--no-memory-reducer",
];

/** Call it first of all. A program that embeds a node can be started with these flags behind `node` to the same end. */
export function setHeapPolicy(): void {
  for (const flag of flags) setFlagsFromString(flag);
}
