// A live read of the broker in memory, with the same healing as the real one: numbered deliveries, a gap or a silent tail make it
// ask anew from the last message it got (P18).
import type { Stored, Subscription } from "../broker/broker.ts";
import type { MemoryServer } from "./memory-server.ts";
import type { MemoryStream, Watcher } from "./memory-stream.ts";
import type { Network } from "./network.ts";

const WATCHDOG_MS = 2_000;
const BUFFER_MESSAGES = 256;
const BUFFER_BYTES = 8 * 1024 * 1024;

export class MemorySubscription implements Subscription, Watcher {
  readonly #server: MemoryServer;
  readonly #network: Network;
  readonly #name: string;
  readonly #subject: string;
  readonly #ended: () => void;
  #buffer: Stored[] = [];
  #bytes = 0;
  #listener: (() => void) | undefined;
  #notified = false;
  #closed = false;
  #connected = true;
  // The next sequence wanted; what is in the buffer lies before it.
  #next: number;
  // What was asked of the server last. Deliveries of an earlier epoch do not count.
  #epoch = 0;
  #stream: MemoryStream | undefined;
  #position = 0;
  #delivered = 0;
  #arrived = 0;
  #inFlightBytes = 0;
  #cancelWatchdog: (() => void) | undefined;

  constructor(server: MemoryServer, network: Network, name: string, subject: string, from: number, ended: () => void) {
    this.#server = server;
    this.#network = network;
    this.#name = name;
    this.#subject = subject;
    this.#next = from;
    this.#ended = ended;
  }

  take(): Stored | undefined {
    if (this.#closed) return undefined;
    const message = this.#buffer.shift();
    if (message) {
      this.#bytes -= message.data.length;
      this.grown();
    }
    return message;
  }

  onReady(call: () => void): void {
    this.#listener = call;
    if (this.#buffer.length > 0) this.#notify();
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#buffer = [];
    this.#detach();
    this.#ended();
  }

  /** The connection came back, or is there at the start. */
  attach(): void {
    if (this.#closed) return;
    this.#connected = true;
    this.#detach();
    const epoch = this.#epoch;
    this.#watch();
    this.#network.schedule("attach", this.#subject, () => {
      if (epoch !== this.#epoch || this.#stream) return;
      const stream = this.#server.streams.get(this.#name);
      if (!stream) return;
      this.#stream = stream;
      this.#position = this.#next;
      stream.watchers.add(this);
      this.grown();
      this.#rest();
    });
  }

  /** The connection was lost: what is under way does not arrive. */
  disconnect(): void {
    this.#connected = false;
    this.#forget();
    this.#detach();
  }

  // What was not given yet is read again: a server that comes back may have lost it, and give its numbers to others (P30).
  #forget(): void {
    const [first] = this.#buffer;
    if (first !== undefined) this.#next = first.seq;
    this.#buffer = [];
    this.#bytes = 0;
  }

  /** As the server: gives what there is, no more than the buffer has room for. */
  grown(): void {
    const stream = this.#stream;
    if (!stream) return;
    while (this.#buffer.length + this.#delivered - this.#arrived < BUFFER_MESSAGES && this.#bytes + this.#inFlightBytes < BUFFER_BYTES) {
      const message = stream.next(this.#subject, this.#position);
      if (!message) return;
      this.#position = message.seq + 1;
      this.#inFlightBytes += message.data.length;
      const number = ++this.#delivered;
      const epoch = this.#epoch;
      this.#watch();
      this.#network.schedule("deliver", this.#subject, () => this.#arrive(epoch, number, message));
    }
  }

  lost(): void {
    this.#stream = undefined;
    this.#watch();
  }

  #arrive(epoch: number, number: number, message: Stored): void {
    if (epoch !== this.#epoch || number <= this.#arrived) return;
    if (number !== this.#arrived + 1) return this.attach();
    this.#arrived = number;
    this.#inFlightBytes -= message.data.length;
    this.#next = message.seq + 1;
    this.#buffer.push(message);
    this.#bytes += message.data.length;
    if (this.#buffer.length === 1) this.#notify();
    this.#rest();
  }

  #notify(): void {
    if (!this.#listener || this.#notified) return;
    this.#notified = true;
    queueMicrotask(() => {
      this.#notified = false;
      if (!this.#closed) this.#listener?.();
    });
  }

  #detach(): void {
    this.#epoch++;
    this.#stream?.watchers.delete(this);
    this.#stream = undefined;
    this.#delivered = 0;
    this.#arrived = 0;
    this.#inFlightBytes = 0;
    this.#unwatch();
  }

  // The real one compares with what the server says; here that is known, so the timer runs only while something is missing and a
  // simulation at rest has no timers.
  #watch(): void {
    if (this.#cancelWatchdog || this.#closed || !this.#connected) return;
    const seen = this.#arrived;
    this.#cancelWatchdog = this.#server.clock.after(WATCHDOG_MS, () => {
      this.#cancelWatchdog = undefined;
      if (this.#stream && this.#arrived > seen) this.#watch();
      else this.attach();
    });
  }

  #rest(): void {
    if (this.#stream && this.#arrived === this.#delivered) this.#unwatch();
  }

  #unwatch(): void {
    this.#cancelWatchdog?.();
    this.#cancelWatchdog = undefined;
  }
}
