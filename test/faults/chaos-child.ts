// One node of a chaos run: it runs the flow on servers that are there already, until the flow has ended, or it is told that it may not
// go on, or it is killed. Tells its parent what becomes of it, and ends with it.
import { readFileSync } from "node:fs";
import type { Actor } from "../../runtime/actor/actor.ts";
import { snapshotEvery, snapshotSize } from "../../runtime/actor/snapshot.ts";
import { turnLimit } from "../../runtime/actor/limits.ts";
import { type Clock, systemClock } from "../../runtime/event/clock.ts";
import { asError, MillraceError } from "../../runtime/event/errors.ts";
import { startNode } from "../../runtime/inspect/inspected-node.ts";
import type { Connection } from "../../runtime/node/connection.ts";
import type { RunningNode } from "../../runtime/node/node.ts";
import { readRun } from "../../runtime/node/run-record.ts";
import { realParts } from "../../runtime/node/parts.ts";
import { archived } from "./chaos-archive.ts";
import { type ChaosFlow, chaosFlow } from "./chaos-flow.ts";

export interface ChaosLife {
  readonly flow: ChaosFlow;
  readonly name: string;
  readonly dataDir: string;
  readonly nats: Connection;
  /** Gets what is purged from logs. */
  readonly archive?: string | undefined;
  /** Whether another life has begun the run. */
  readonly resumes: boolean;
  /** Small turns, a snapshot every few records. */
  readonly small: boolean;
  /** Says by how many seconds the wall clock is off. Default: by none. */
  readonly clockFile?: string | undefined;
}

/** What a child says of itself. */
export type ChildNews =
  | { readonly is: "started" }
  /** The flow has ended, or it was told to stop. */
  | { readonly is: "done" }
  | { readonly is: "failed"; readonly code: string; readonly message: string }
  /** What the tree says of the actors that do not run, when it was asked for. */
  | { readonly is: "tree"; readonly lines: readonly { readonly id: string; readonly state: string; readonly why: string | undefined }[]; readonly counts: readonly (readonly [actor: string, taken: number])[] };

/** The wall clock is off by as many seconds as a file says, asked again and again. */
function clockBy(file: string): Clock {
  let offMs = 0, next = 0;
  return {
    ...systemClock,
    now: () => {
      const now = systemClock.monotonic();
      if (now >= next) { offMs = Number(readFileSync(file, "utf8")) * 1_000; next = now + askedAgainMs; }
      return systemClock.now() + offMs;
    },
  };
}
const askedAgainMs = 20;

const life = JSON.parse(process.argv[2] as string) as ChaosLife;
const tell = (news: ChildNews): Promise<void> => new Promise((told) => { if (process.send?.(news, () => told()) === undefined) told(); });
process.on("disconnect", () => process.kill(process.pid, "SIGKILL"));
if (life.small) {
  turnLimit.events = 512;
  snapshotEvery.records = 24;
  snapshotSize.inlineBytes = 2_000;
  snapshotSize.chunkBytes = 1_000;
}

const inwards = ({ memory: { inbound, held, waiting, timers }, full, behaviour, env }: Actor) => ({ full, ended: inbound.ended, held: held.size, waiting: waiting.size, due: waiting.nextDue - env.clock.now(), timers: timers.nextEvent, wake: behaviour.wake - env.clock.now() });

let node: RunningNode | undefined;
process.on("message", () => {
  const tree = node?.tree(), lines: { id: string; state: string; why: string | undefined }[] = [], rest = tree === undefined ? [] : [tree];
  for (let at = rest.pop(); at !== undefined; at = rest.pop()) {
    lines.push({ id: at.id, state: at.state, why: at.why?.message });
    rest.push(...at.children);
  }
  const counts = (node?.flows ?? []).flatMap(({ actors }) => [...actors].map(([id, actor]) => [id, actor.counts.in] as const));
  void tell({ is: "tree", lines, counts });
});
// Who waits in vain asks what it stands at.
process.on("SIGUSR2", () => {
  for (const { actors } of node?.flows ?? []) {
    for (const { address, recovered: actor, child } of actors.values()) {
      const outlets = actor?.emitter.all.map(({ id, delivery }) => ({ id, settled: delivery.settled, unsettled: delivery.unsettled, full: delivery.full }));
      console.error(JSON.stringify({ address, recovered: actor !== undefined, over: child.actor?.signal.aborted, checked: actor?.availability.checked, counts: actor?.counts, pending: actor?.behaviour.pending, finished: actor?.behaviour.finished, positions: actor?.memory.inbound.positions.map(({ at }) => at), k: actor?.memory.tries.k, heldUp: actor?.emitter.heldUp, ...(actor === undefined ? {} : inwards(actor)), outlets }));
    }
  }
});

try {
  node = await startNode({ dataDir: life.dataDir, nats: life.nats, name: life.name, flows: [chaosFlow(life.flow)] }, {
    async parts(options) {
      const parts = await realParts(options, { say: () => {}, onFault: () => {} });
      // It was not finished when this process was started; now it would begin anew, over the files of the first run.
      if (life.resumes && (await readRun(parts.access.broker.keys, life.flow.name))?.record.state === "finished") {
        await parts.close();
        await tell({ is: "done" });
        process.exit(0);
      }
      return life.archive === undefined ? parts : { ...parts, access: { ...parts.access, broker: archived(parts.access.broker, life.archive) } };
    },
    ...(life.clockFile === undefined ? {} : { clock: clockBy(life.clockFile) }),
    warned: (line) => console.error(line),
  });
  await tell({ is: "started" });
  try {
    await node.done;
    await tell({ is: "done" });
  } finally {
    await node.stop();
  }
  process.exit(0);
} catch (thrown) {
  const error = asError(thrown);
  await tell({ is: "failed", code: error instanceof MillraceError ? error.code : error.name, message: error.message });
  process.exit(3);
}
