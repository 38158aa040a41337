// Sees that the event loop of this thread stands still, which nothing in this thread could tell: a thread of its own looks whether a
// count goes on, and says who is at hand (LOOP_STALLED). Costs a store or two each turn of an actor, and a timer.
import { Worker } from "node:worker_threads";
import { cell, type Seats } from "../actor/at-work.ts";
import { type WatchdogTask, watchLoop } from "./watchdog-thread.ts";

/** Actors that can be told apart; of more it is only said that somebody is at hand. */
const mostSeats = 16_384;

export interface WatchdogOptions {
  readonly node: string;
  /** The loop has to stand still for so long, in ms. */
  readonly stallMs: number;
  /** Path of the node's log. */
  readonly log: string;
}

export class Watchdog implements Seats {
  readonly cells = new Int32Array(new SharedArrayBuffer(4 * (cell.first + mostSeats)));
  readonly #seats = new Map<string, number>();
  readonly #thread: Worker;
  readonly #beat: NodeJS.Timeout;

  constructor({ node, stallMs, log }: WatchdogOptions) {
    const task: WatchdogTask = { cells: this.cells, ...cell, stallMs, node, log };
    // What compilers that keep the names of functions leave in a function's text.
    const thread = `const __name = (its) => its; (${watchLoop.toString()})();`;
    this.#thread = new Worker(thread, { eval: true, workerData: task, execArgv: [], stdin: false, name: "watchdog" });
    // Without it the node goes on as well.
    this.#thread.on("error", () => {});
    this.#thread.unref();
    this.#beat = setInterval(() => { Atomics.add(this.cells, cell.beat, 1); }, Math.max(5, Math.min(250, stallMs / 20)));
    this.#beat.unref();
  }

  seatOf(address: string): number {
    const known = this.#seats.get(address);
    if (known !== undefined) return known;
    const seat = this.#seats.size + 1;
    if (seat >= mostSeats) return 0;
    this.#seats.set(address, seat);
    this.#thread.postMessage([seat, address]);
    return seat;
  }

  async close(): Promise<void> {
    clearInterval(this.#beat);
    await this.#thread.terminate();
  }
}
