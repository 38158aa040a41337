// What `import … from "millrace/testing"` gives: the driver of a flow's tests, and the twins that it stands on.
export { testFlow, type GivenUp, type TestFlow, type TestFlowOptions } from "./test-flow.ts";
export { advance, at, crash, type CrashPoint, end, type Sent, type Token } from "./token.ts";

export { ManualClock, settle } from "./manual-clock.ts";
export { MemoryBroker } from "./memory-broker.ts";
export { MemoryServer, type MemoryServerOptions } from "./memory-server.ts";
export { MemoryDisk, MemoryStores, type DiskSchedule } from "./memory-store.ts";
export { reliableNetwork, type Leg, type Network, type Verdict } from "./network.ts";
export { SeededRandom } from "./seeded-random.ts";
