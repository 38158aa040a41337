// What makes an actor of the ceiling exactly-once: its commit log, extended by compare-and-set alone, and the journal beside it.
import { mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import { crc32 } from "node:zlib";
import { Level } from "level";
import { headers } from "nats";
import { newPackr } from "./frame.ts";
import type { Publisher } from "./publisher.ts";

export class Log {
  readonly #subject: string;
  readonly #publisher: Publisher;
  readonly #journal: Level<string, Uint8Array>;
  readonly #packr = newPackr();
  #last = 0;
  #n = 0;

  static async open(subject: string, publisher: Publisher, folder: string): Promise<Log> {
    await mkdir(dirname(folder), { recursive: true });
    const journal = new Level<string, Uint8Array>(folder, { keyEncoding: "utf8", valueEncoding: "view", compression: false });
    await journal.open();
    return new Log(subject, publisher, journal);
  }

  private constructor(subject: string, publisher: Publisher, journal: Level<string, Uint8Array>) {
    this.#subject = subject;
    this.#publisher = publisher;
    this.#journal = journal;
  }

  /** Resolves when the record is in the log and in the journal. */
  async append(body: object): Promise<void> {
    const record = this.#packr.pack({ v: 1, term: 1, seq: ++this.#n, ...body });
    const expected = headers();
    expected.set("Nats-Expected-Last-Subject-Sequence", String(this.#last));
    this.#last = await this.#publisher.publish(this.#subject, record, expected);
    const sum = Buffer.alloc(4);
    sum.writeUInt32LE(crc32(record));
    await this.#journal.batch([
      { type: "put", key: `j${String(this.#n).padStart(12, "0")}`, value: Buffer.concat([sum, record]) },
      { type: "put", key: "h", value: sum },
    ]);
  }

  close(): Promise<void> {
    return this.#journal.close();
  }
}
