// The messages of one stream in a file of a backup, in order. The form, all numbers little-endian:
//
//   "MILLRACE STREAM 1\n"
//   for each message: u32 length of what follows the two numbers, u32 CRC-32 of it, then u64 sequence, u16 length of the subject,
//   the subject (UTF-8; empty: the stream's own), the data as they were stored
//
// Headers are not in it: nothing that Millrace reads stands in one. Written and read in pieces; neither holds more than a few messages.
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { basename } from "node:path";
import { crc32 } from "node:zlib";
import type { Stored } from "../broker/broker.ts";
import { asError, MillraceError } from "../event/errors.ts";

const head = Buffer.from("MILLRACE STREAM 1\n", "latin1");
const fixedBytes = 18;
const flushBytes = 64 * 1024;
/** Above any max_payload that NATS admits, with room for a subject. */
const mostBytes = 68 * 1024 * 1024;

export interface FileSum {
  readonly bytes: number;
  /** SHA-256, hexadecimal. */
  readonly sha256: string;
}

export class StreamFileWriter {
  readonly #file: FileHandle;
  #hash = createHash("sha256");
  #open: Uint8Array[] = [];
  #openBytes = 0;
  #bytes = 0;

  private constructor(file: FileHandle) {
    this.#file = file;
    this.#put(head);
  }

  /** Made anew, in place of what is there. */
  static async create(path: string): Promise<StreamFileWriter> {
    return new StreamFileWriter(await open(path, "w"));
  }

  async add({ seq, data }: Stored, subject = ""): Promise<void> {
    const name = Buffer.from(subject), first = Buffer.allocUnsafe(fixedBytes + name.length);
    first.writeBigUInt64LE(BigInt(seq), 8);
    first.writeUInt16LE(name.length, 16);
    first.set(name, fixedBytes);
    first.writeUInt32LE(10 + name.length + data.length, 0);
    first.writeUInt32LE(crc32(data, crc32(first.subarray(8))), 4);
    this.#put(first);
    this.#put(data);
    if (this.#openBytes >= flushBytes) await this.flush();
  }

  #put(bytes: Uint8Array): void {
    this.#hash.update(bytes);
    this.#open.push(bytes);
    this.#openBytes += bytes.length;
  }

  async flush(): Promise<void> {
    const bytes = Buffer.concat(this.#open);
    this.#open = [];
    this.#openBytes = 0;
    for (let done = 0; done < bytes.length; ) done += (await this.#file.write(bytes, done, bytes.length - done, this.#bytes + done)).bytesWritten;
    this.#bytes += bytes.length;
  }

  /** Nothing of it any more. */
  async restart(): Promise<void> {
    await this.#file.truncate(0);
    this.#hash = createHash("sha256");
    this.#open = [];
    this.#openBytes = this.#bytes = 0;
    this.#put(head);
  }

  /** On the disk. */
  async close(): Promise<FileSum> {
    try {
      await this.flush();
      await this.#file.sync();
      return { bytes: this.#bytes, sha256: this.#hash.digest("hex") };
    } finally {
      await this.#file.close();
    }
  }

  /** Without a word: what was written is given up. */
  async abandon(): Promise<void> {
    await this.#file.close().catch(() => {});
  }
}

export interface FiledMessage extends Stored {
  /** Empty: the stream's own. */
  readonly subject: string;
}

/**
 * Messages of a file, each looked at before it is given. With `expected`, after the last one: length and SHA-256 of the whole.
 * @throws MillraceError BACKUP_DAMAGED
 */
export async function* readStreamFile(path: string, expected?: FileSum): AsyncGenerator<FiledMessage> {
  const hash = createHash("sha256");
  let bytes = 0, rest: Buffer = Buffer.alloc(0), begun = false;
  for await (const piece of pieces(path)) {
    hash.update(piece);
    bytes += piece.length;
    rest = rest.length === 0 ? piece : Buffer.concat([rest, piece]);
    let at = 0;
    if (!begun) {
      if (rest.length < head.length) continue;
      if (!rest.subarray(0, head.length).equals(head)) throw damaged(path, "it does not begin as a file of messages does");
      begun = true;
      at = head.length;
    }
    for (;;) {
      const length = rest.length - at < 8 ? undefined : rest.readUInt32LE(at);
      if (length === undefined) break;
      if (length < 10 || length > mostBytes) throw damaged(path, `a message near byte ${bytes - rest.length + at} has an impossible length`);
      if (rest.length - at < 8 + length) break;
      const body = rest.subarray(at + 8, at + 8 + length), subjectEnd = 10 + body.readUInt16LE(8);
      if (crc32(body) !== rest.readUInt32LE(at + 4) || subjectEnd > length) throw damaged(path, `the checksum of the message at byte ${bytes - rest.length + at} does not fit`);
      yield { seq: Number(body.readBigUInt64LE(0)), subject: body.toString("utf8", 10, subjectEnd), data: new Uint8Array(body.subarray(subjectEnd)) };
      at += 8 + length;
    }
    rest = rest.subarray(at);
  }
  if (!begun || rest.length > 0) throw damaged(path, "it ends in the middle of a message");
  if (expected !== undefined && (bytes !== expected.bytes || hash.digest("hex") !== expected.sha256)) throw damaged(path, `it is not the file that was written: ${bytes} bytes of ${expected.bytes}, or other ones`);
}

async function* pieces(path: string): AsyncGenerator<Buffer> {
  try {
    yield* createReadStream(path, { highWaterMark: 256 * 1024 }) as AsyncIterable<Buffer>;
  } catch (error) {
    throw damaged(path, (error as NodeJS.ErrnoException).code === "ENOENT" ? "it is not there" : asError(error).message, error);
  }
}

export function damaged(path: string, why: string, cause?: unknown): MillraceError {
  return new MillraceError("BACKUP_DAMAGED", path, `The backup's file ${basename(path)} cannot be used: ${why}`, "Nothing was changed. Take another copy of the backup; `sha256sum -c SHA256SUMS` in its folder names each file that is not as it was written.", cause === undefined ? {} : { cause });
}
