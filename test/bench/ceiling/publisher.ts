// Publishes of the ceiling: plain ones, whose acks come to one shared inbox; so many ahead of the acks.
import { createInbox, type Msg, type MsgHdrs, type NatsConnection } from "nats";

const text = new TextDecoder();

export class Publisher {
  readonly #connection: NatsConnection;
  readonly #inbox = createInbox();
  readonly #window: number;
  readonly #pending = new Map<string, (ack: Msg) => void>();
  readonly #waiting: (() => void)[] = [];
  #id = 0;

  constructor(connection: NatsConnection, window: number) {
    this.#connection = connection;
    this.#window = window;
    connection.subscribe(`${this.#inbox}.*`, {
      callback: (_, message) => {
        const id = message.subject.slice(this.#inbox.length + 1);
        this.#pending.get(id)?.(message);
        this.#pending.delete(id);
        this.#waiting.shift()?.();
      },
    });
  }

  /** Sequence under which it was stored. */
  async publish(subject: string, data: Uint8Array, headers?: MsgHdrs): Promise<number> {
    const id = String(this.#id++);
    const ack = await new Promise<Msg>((resolve) => {
      this.#pending.set(id, resolve);
      this.#connection.publish(subject, data, { reply: `${this.#inbox}.${id}`, ...(headers === undefined ? {} : { headers }) });
    });
    const { seq, error } = JSON.parse(text.decode(ack.data)) as { seq: number; error?: unknown };
    if (error !== undefined) throw new Error(`${subject}: ${JSON.stringify(error)}`);
    return seq;
  }

  /** Resolves when there is room in the window. */
  async room(): Promise<void> {
    while (this.#pending.size >= this.#window) await new Promise<void>((resume) => this.#waiting.push(resume));
  }
}
