// One life of the crash matrix: a node with one flow on a server that runs already, which dies where it is told to, or ends with the flow.
import { existsSync, writeFileSync } from "node:fs";
import { turnLimit } from "../../runtime/actor/limits.ts";
import { snapshotEvery, snapshotSize } from "../../runtime/actor/snapshot.ts";
import { type Clock, systemClock } from "../../runtime/event/clock.ts";
import { startNode } from "../../runtime/inspect/inspected-node.ts";
import { realParts } from "../../runtime/node/parts.ts";
import { KillPoint, type StepName, type Victim } from "./kill-point.ts";
import { kindOf } from "./matrix-kinds.ts";
import { watchedBroker, watchedStores } from "./watched-parts.ts";

export interface Life {
  readonly kind: string;
  readonly name: string;
  readonly folder: string;
  readonly dataDir: string;
  readonly servers: string;
  readonly user: string;
  readonly pass: string;
  readonly step?: StepName;
  readonly nth: number;
  /** Steps count once this file is there. */
  readonly armedBy?: string;
  /** Who is killed in its place. */
  readonly victim?: Victim;
  /** "SIGSTOP": it stands still there. Default "SIGKILL". */
  /** The process is held up all the time: each slice of work ends after a frame or two. */
  readonly hurried?: boolean;
  readonly act?: "SIGKILL" | "SIGSTOP";
}

/** Of a process that is held up for 10 ms all the time. */
function hurriedClock(): Clock {
  let asked = 0;
  return { ...systemClock, monotonic: () => systemClock.monotonic() + 10 * Math.floor(++asked / 3) };
}

const life = JSON.parse(process.argv[2] as string) as Life, { folder, dataDir, name, step, nth, act, hurried = false, servers, user, pass } = life;
// Rare paths all the time: small turns, a snapshot every few records, always in chunks, each with few entries.
turnLimit.events = 8;
snapshotEvery.records = 3;
snapshotSize.inlineBytes = 0;
snapshotSize.chunkBytes = 200;
const point = new KillPoint(step, nth, act, () => life.armedBy === undefined || existsSync(life.armedBy), life.victim), kind = kindOf(life.kind);
const flow = kind.flow({ name, point, input: `${folder}/in.jsonl`, output: `${folder}/out.jsonl` });
const node = await startNode({ dataDir, nats: { servers, user, pass, sync: "always" }, flows: [flow] }, {
  async parts(options) {
    const parts = await realParts(options, { say: () => {}, onFault: () => {} });
    return { ...parts, access: { ...parts.access, broker: watchedBroker(parts.access.broker, point, `${folder}/purged`) }, journals: watchedStores(parts.journals, point) };
  },
  ...(hurried ? { clock: hurriedClock() } : {}),
  warned: (line) => console.error(line),
});
// Who waits in vain asks what it stands at.
process.on("SIGUSR2", () => {
  for (const { actors } of node.flows) {
    for (const { address, recovered: actor, child } of actors.values()) {
      const outlets = actor?.emitter.all.map(({ id, delivery }) => ({ id, settled: delivery.settled, unsettled: delivery.unsettled, full: delivery.full }));
      console.error(JSON.stringify({ address, recovered: actor !== undefined, over: child.actor?.signal.aborted, counts: actor?.counts, pending: actor?.behaviour.pending, finished: actor?.behaviour.finished, positions: actor?.memory.inbound.positions.map(({ at }) => at), k: actor?.memory.tries.k, outlets }));
    }
  }
});
try {
  await node.done;
  writeFileSync(`${folder}/reached.json`, JSON.stringify(point.reached));
} finally {
  await node.stop();
}
