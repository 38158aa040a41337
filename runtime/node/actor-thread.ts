// The thread of an isolated actor: one life of it, whole, with a connection and a journal of its own. The node's thread is told what
// comes of it (isolated-actor.ts). Ended at any moment it leaves what a killed process leaves: an open log, an open journal.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { parentPort, workerData } from "node:worker_threads";
import type { Actor } from "../actor/actor.ts";
import { viewOf } from "../actor/actor-view.ts";
import { cell } from "../actor/at-work.ts";
import { ordinalOf, Turnstile } from "../actor/environment.ts";
import { type Exit, exitOf } from "../actor/exit.ts";
import { createActor } from "../actor/wiring.ts";
import type { Broker } from "../broker/broker.ts";
import { systemClock, systemRandom } from "../event/clock.ts";
import { MillraceError } from "../event/errors.ts";
import { type FlowPlan, planOf, type StagePlan } from "../flow/plan.ts";
import { LevelStores } from "../journal/level-store.ts";
import { type Access, connectTo } from "./connection.ts";
import { doneBy, recoveredFrames } from "./done-frames.ts";
import { journalsIn } from "./journal-folder.ts";
import { type ActorTask, type FromThread, packed, packedExit, type ToThread } from "./thread-message.ts";

const beatMs = 20;
const viewMs = 200;

process.setSourceMapsEnabled(true);
const task = workerData as ActorTask, { cells, connection, dataDir, retainMs, replicas, node, code } = task, address = `${task.flow}/${task.stage}/${task.partition}`;
const tell = (message: FromThread): void => parentPort?.postMessage(message);
let actor: Actor | undefined, access: Access | undefined, stopped = false, recovered = false, over = false;
const beat = setInterval(() => { Atomics.add(cells, cell.beat, 1); }, beatMs);
const views = setInterval(() => show(), viewMs);

function show(): void {
  if (actor !== undefined) tell({ is: "view", view: viewOf(actor), ended: actor.hasEnded });
}

/** Of a life that has its state back just now. */
function count(its: Actor, broker: Broker): void {
  recovered = true;
  if (!task.counted) return;
  const { done, unsettled, mailboxes } = recoveredFrames(its, broker);
  tell({ is: "recovered", done, unsettled });
  mailboxes.then((frames) => tell({ is: "mailboxes", frames }), () => tell({ is: "mailboxes", frames: null }));
}

async function end(exit: Exit): Promise<void> {
  if (over) return;
  over = true;
  clearInterval(views);
  show();
  await access?.close().catch(() => {});
  clearInterval(beat);
  tell({ is: "exit", exit: packedExit(exit), done: recovered && actor !== undefined ? doneBy(actor) : undefined });
  parentPort?.close();
}

parentPort?.on("message", (message: ToThread) => {
  if (message.is === "stop") {
    stopped = true;
    return void actor?.stop();
  }
  const { number, order } = message;
  void (actor?.letters.ask(order) ?? Promise.resolve({ is: "pending" } as const)).then((outcome) => tell({ is: "settled", number, outcome }));
});

async function live(): Promise<void> {
  const flow = await flowOf(task), stage = flow.stages.find(({ name }) => name === task.stage) as StagePlan, divisions = new Map(task.stages.map((its) => [its.name, its])), of = (name: string) => divisions.get(name) as ActorTask["stages"][number];
  if (stopped) return end({ class: "shutdown" });
  access = await connectTo(connection);
  const { broker } = access;
  const say = (level: "debug" | "info" | "warn" | "error") => (message: string, fields: object = {}): void => {
    try {
      tell({ is: "log", level, message, fields });
    } catch {
      tell({ is: "log", level, message, fields: { fields: String(fields) } });
    }
  };
  const begun: Actor = createActor({
    flow, code, node, broker, stores: new LevelStores(journalsIn(dataDir)), clock: systemClock, random: systemRandom, retainMs, replicas,
    division: of,
    // Who feeds it may be scaled, neither it nor its readers are (scale-check.ts): there is no plan that it would have to follow.
    generations: { first: (name) => of(name).first, next: () => undefined, retired: (name, generation) => ordinalOf(generation) < ordinalOf(of(name).generation) },
    log: { debug: say("debug"), info: say("info"), warn: say("warn"), error: say("error") }, soon: (call) => void setImmediate(call),
    // A death of this thread is nobody else's: no turns are taken with other actors.
    oneByOne: new Turnstile(),
    // Readers are in other threads: what they are known to have committed would be of some time ago.
    readerCursor: () => undefined,
    seats: { cells, seatOf: () => 1 },
  }, stage, task.partition, {
    onState: (state, error) => {
      if (state === "running.active" && !recovered) count(begun, broker);
      tell({ is: "state", state, ...(error === undefined ? {} : { error: packed(error) }) });
    },
    onPoison: (event, error) => tell({ is: "poison", event, error: packed(error) }),
    onExit: (exit) => void end(exit),
  });
  actor = begun;
  await begun.start();
  if (stopped) void begun.stop();
  show();
  tell({ is: "running" });
}

/** @throws MillraceError MODULE_WRONG; what the module throws */
async function flowOf({ module, flow: name, stage, stages }: ActorTask): Promise<FlowPlan> {
  if (!import.meta.url.endsWith(".ts") && /\.[cm]?tsx?$/.test(module) && process.execArgv.some((argument) => argument.includes("tsx"))) await readTypeScript(module);
  const exports = (await import(module)) as Readonly<Record<string, unknown>>;
  const plan = Object.values(exports).map(planOf).find((its) => its?.name === name);
  if (plan === undefined) throw new MillraceError("MODULE_WRONG", address, `${module} exports no flow "${name}"`, "Export the flow from the module that its option `module` names.");
  if (!plan.stages.some((its) => its.name === stage)) throw new MillraceError("MODULE_WRONG", address, `Flow "${name}" of ${module} has no stage "${stage}"`, "Export the flow that is run from the module that its option `module` names.");
  const counts = new Map(stages.map((its) => [its.name, its.first.count]));
  return { ...plan, stages: plan.stages.map((its) => ({ ...its, parallelism: counts.get(its.name) ?? its.parallelism })) };
}

/** Of a program that runs by tsx: its hooks are not those of its threads. */
async function readTypeScript(module: string): Promise<void> {
  const { register } = (await import(pathToFileURL(createRequire(module).resolve("tsx/esm/api")).href)) as { register: () => void };
  register();
}

live().catch((error: unknown) => void end(exitOf(error)));
