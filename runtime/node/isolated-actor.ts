// An actor in a thread of its own (`isolate: "worker"`), as a child of its supervisor: each life is a new thread, in which the whole
// actor runs; here is what is known of it. A handler that never comes back is seen by the thread's beat and ended with the thread. To the
// log that is a killed process: the next life counts unclean ends, goes event by event, and gives the culprit up (PROTOCOL 9, poison).
import { extname } from "node:path";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import type { ActorView } from "../actor/actor-view.ts";
import { cell } from "../actor/at-work.ts";
import { type ActorEnvironment, addressOf } from "../actor/environment.ts";
import type { Exit } from "../actor/exit.ts";
import type { LetterOrder, LetterOutcome } from "../actor/letters.ts";
import type { Done } from "../cluster/hosting.ts";
import { asError, MillraceError } from "../event/errors.ts";
import type { ProcessorPlan } from "../flow/plan.ts";
import { reportState } from "../supervision/actor-child.ts";
import type { Child, Run } from "../supervision/child.ts";
import type { Connection } from "./connection.ts";
import type { MailboxFrames, RecoveredFrames } from "./done-frames.ts";
import { type ActorTask, type FromThread, type ToThread, unpacked, unpackedExit } from "./thread-message.ts";

/** What threads need to be where the node is. */
export interface Isolation {
  readonly connection: Connection;
  readonly dataDir: string;
  /** URL of the module that exports the flow. */
  readonly module: string;
}

/** This file is .ts when run from source and .js when built; so is the thread's. */
const ending = extname(fileURLToPath(import.meta.url)), thread = new URL(`./actor-thread${ending}`, import.meta.url);
const lookMs = 50;
/** What is no handler may stand still for longer: modules are being loaded, state is being read. */
const patienceMs = 60_000;
/** A thread whose actor is over ends by itself within this time, or is ended. */
const closingMs = 5_000;

interface Life {
  readonly worker: Worker;
  readonly cells: Int32Array;
  readonly settling: Map<number, (outcome: LetterOutcome) => void>;
  /** Who waits for a look at its mailboxes. `null`: none will come. */
  mailboxes: (frames: MailboxFrames | null) => void;
  /** What its actor said last, or why it was ended from here. */
  exit: Exit | undefined;
  readonly over: Promise<void>;
}

export class IsolatedActor implements Child {
  readonly id: string;
  readonly #env: ActorEnvironment;
  readonly #stage: ProcessorPlan;
  readonly #partition: number;
  readonly #isolation: Isolation;
  readonly #counter: () => ((frames: RecoveredFrames) => void) | undefined;
  #life: Life | undefined;
  #settlings = 0;
  /** As it was told last, by the newest life that had its state back. */
  view: ActorView | undefined;
  /** What it had done when its newest life was over, where that ended by itself. */
  done: Done | undefined;
  hasEnded = false;

  /** `counter`: who is to be told, if anybody, what a life has done that has its state back; looked at when it is started. */
  constructor(env: ActorEnvironment, stage: ProcessorPlan, partition: number, isolation: Isolation, counter: () => ((frames: RecoveredFrames) => void) | undefined) {
    this.id = addressOf(env.flow, stage, partition);
    this.#env = env;
    this.#stage = stage;
    this.#partition = partition;
    this.#isolation = isolation;
    this.#counter = counter;
  }

  /** Its stage is never scaled: that of all its lives. */
  get generation(): string {
    return this.#env.division(this.#stage.name).generation;
  }

  /** Resolves when no thread of it is left. */
  get over(): Promise<void> {
    return this.#life?.over ?? Promise.resolve();
  }

  async start(run: Run): Promise<void> {
    // A thread that was killed holds the journal until it is gone.
    await this.over;
    this.done = undefined;
    const counter = this.#counter();
    const { flow, division, generations, code, node, retainMs, replicas, log } = this.#env, cells = new Int32Array(new SharedArrayBuffer(4 * (cell.first + 2)));
    const task: ActorTask = {
      ...this.#isolation, flow: flow.name, stage: this.#stage.name, partition: this.#partition, code, node, retainMs, replicas, counted: counter !== undefined, cells,
      stages: flow.stages.map(({ name }) => ({ name, ...division(name), first: generations?.first(name) ?? division(name) })),
    };
    const worker = newThread(task, this.id);
    await new Promise<void>((started) => {
      let gone = (): void => {};
      const life: Life = { worker, cells, settling: new Map(), mailboxes: () => {}, exit: undefined, over: new Promise((done) => { gone = done; }) };
      this.#life = life;
      const stopLooking = this.#look(life), cancels = [stopLooking];
      worker.on("message", (message: FromThread) => {
        if (message.is === "exit") {
          life.exit ??= unpackedExit(message.exit);
          this.done = message.done;
          cancels.push(this.#env.clock.after(closingMs, () => void worker.terminate()));
        } else if (message.is === "running") started();
        else if (message.is === "state") reportState(run, message.state, message.error === undefined ? undefined : unpacked(message.error));
        else if (message.is === "recovered") counter?.({ done: message.done, unsettled: message.unsettled, mailboxes: new Promise((tell, fail) => {
          life.mailboxes = (frames) => { if (frames === null) fail(new MillraceError("UNREACHABLE", this.id, "Its mailboxes could not be looked at", "`millrace tree` tells how it is.")); else tell(frames); };
        }) });
        else if (message.is === "mailboxes") life.mailboxes(message.frames);
        else if (message.is === "poison") run.poisoned(message.event, unpacked(message.error));
        else if (message.is === "log") log[message.level](message.message, message.fields);
        else if (message.is === "settled") {
          life.settling.get(message.number)?.(message.outcome);
          life.settling.delete(message.number);
        } else {
          this.view = message.view;
          this.hasEnded = message.ended;
        }
      });
      worker.on("error", (error) => { life.exit ??= this.#died(life, asError(error)); });
      worker.once("exit", () => {
        for (const cancel of cancels) cancel();
        for (const tell of life.settling.values()) tell({ is: "pending" });
        life.mailboxes(null);
        gone();
        run.exit(life.exit ?? this.#died(life, undefined));
        started();
      });
    });
  }

  async stop(): Promise<void> {
    const life = this.#life;
    life?.worker.postMessage({ is: "stop" } satisfies ToThread);
    await life?.over;
  }

  kill(): void {
    const life = this.#life;
    if (life === undefined) return;
    life.exit ??= { class: "shutdown" };
    void life.worker.terminate();
  }

  /** Takes a dead letter back (letters.ts). */
  settle(order: LetterOrder): Promise<LetterOutcome> {
    const life = this.#life, number = ++this.#settlings;
    if (this.hasEnded) return Promise.resolve({ is: "failed", code: "ENDED", message: "this stage has ended in this run" });
    if (life === undefined || life.exit !== undefined) return Promise.resolve({ is: "pending" });
    return new Promise((tell) => {
      life.settling.set(number, tell);
      life.worker.postMessage({ is: "settle", number, order } satisfies ToThread);
    });
  }

  // Ends the thread once its loop stood still for longer than a handler may take. Only time in which this thread could look counts: where
  // the whole process stood still, so did both.
  #look({ worker, cells }: Life): () => void {
    const { clock, log } = this.#env, { deadlineMs } = this.#stage.poison;
    let cancel = (): void => {}, last = -1, silentMs = 0, at = clock.monotonic();
    const look = (): void => {
      const now = clock.monotonic(), passed = Math.min(now - at, 4 * lookMs), beat = Atomics.load(cells, cell.beat);
      at = now;
      silentMs = beat === last ? silentMs + passed : 0;
      last = beat;
      if (silentMs < (isAtHand(cells) ? deadlineMs : Math.max(deadlineMs, patienceMs))) { cancel = clock.after(lookMs, look); return; }
      log.warn(`LOOP_STALLED: ${isAtHand(cells) ? `a handler of ${this.id} has not come back` : `the thread of ${this.id} stands still`} for ${Math.round(silentMs)} ms; it is ended`, { actor: this.id, code: "LOOP_STALLED" });
      const life = this.#life;
      if (life?.worker === worker) life.exit ??= this.#died(life, new MillraceError("LOOP_STALLED", this.id, `A handler did not come back within ${deadlineMs} ms (poison.deadline)`, "Its thread was ended; the event is found and becomes a dead letter. Look at the handler for a loop that does not end."));
      void worker.terminate();
    };
    cancel = clock.after(lookMs, look);
    return () => cancel();
  }

  // While a handler was at hand it is an event's fault: which one the log finds out, and counts; here they count as one.
  #died({ cells }: Life, error: Error | undefined): Exit {
    return {
      class: "process", error: error ?? new MillraceError("THREAD_DIED", this.id, "The thread of this actor ended by itself", "Something in it called process.exit, or it ran out of memory."),
      ...(isAtHand(cells) ? { event: `in the thread of ${this.id}` } : {}),
    };
  }
}

function isAtHand(cells: Int32Array): boolean {
  return cells[cell.current] !== 0 || cells[cell.first + 1] === 1;
}

/** From source the thread has to be given what lets this process read TypeScript: threads do not get its hooks. */
function newThread(workerData: ActorTask, name: string): Worker {
  if (ending !== ".ts") return new Worker(thread, { workerData, name });
  const [tsx, entry] = [import.meta.resolve("tsx/esm/api"), thread.href].map((url) => JSON.stringify(url));
  return new Worker(`import(${tsx}).then(({ register }) => { register(); return import(${entry}); })`, { eval: true, workerData, name });
}
