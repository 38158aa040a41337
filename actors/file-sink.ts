// The sink of all file formats (P28): each batch is written at its own place, so that after a crash it is written there
// again, the same bytes, be it by its owner or by a zombie. Neither cut back nor appended to.
import { fstatSync } from "node:fs";
import * as fs from "node:fs/promises";
import { resolve } from "node:path";
import { type Batch, defineSink, type FlowEvent, MillraceError, type SinkActor, type TransactionalContext, UnavailableError } from "../runtime/index.ts";
import { pathOption } from "./file-window.ts";
import { type Files, ResultFile } from "./result-file.ts";

/** Kept in the journal with each batch. */
export interface FileMark {
  /** Where the next batch begins. */
  readonly offset: number;
  /** Under which the file was begun: it keeps that name when the stage is scaled. */
  readonly generation?: string;
  /** Columns of a CSV file, fixed by the first event. */
  readonly header?: readonly string[];
}

export interface Format<T> {
  /** The same bytes for the same events and header, always. `header` is that of an earlier batch. */
  encode(events: readonly FlowEvent<T>[], header: readonly string[] | undefined): { text: string; header?: readonly string[] };
}

/**
 * A sink that writes a file exactly once. The file grows as `<path>.<generation>`; `<path>` is a link to it from the first
 * batch on, and until then what an earlier run left; when the flow has ended, `<path>` is the file itself. Folders are
 * made. Each batch is written and on the disk (O_DSYNC) before the next is begun. A full disk and the like
 * suspend the actor, and the same batch is written again.
 * @throws MillraceError OPTION_INVALID; while writing SINK_LOST, SINK_UNWRITABLE, SINK_TAKEN, SINK_DIVERGED
 */
export function fileSink<T>(kind: string, path: string, format: Format<T>, files: Files = fs): SinkActor<T> {
  pathOption(`${kind}.sink`, path);
  return defineSink<T, FileMark>({
    kind, guarantee: "transactional", target: path, divisible: path.includes("{partition}"), start: { offset: 0 },
    async open(ctx) {
      const session = new FileSession(resolve(path.replaceAll("{partition}", String(ctx.partition))), format, ctx, files);
      await session.open();
      return {
        written: ctx.last,
        write: (batch) => session.write(batch),
        finish: () => session.finish(),
        close: () => session.close(),
      };
    },
  });
}

/** A write that returns is on the disk: what a datasync after each would do, without the second way to another thread. */
const writeThrough = fs.constants.O_RDWR | fs.constants.O_DSYNC;

/** Paths being written to in this process. Two sinks of one run on one path would write over each other. */
const taken = new Map<string, FileSession<never>>();

class FileSession<T> {
  readonly actor: string;
  readonly #path: string;
  readonly #result: ResultFile;
  readonly #format: Format<T>;
  readonly #ctx: TransactionalContext<FileMark>;
  readonly #files: Files;
  #batch: number;
  #mark: FileMark & { readonly generation: string };
  #file: fs.FileHandle | undefined;
  #published = false;
  #closed = false;

  constructor(path: string, format: Format<T>, ctx: TransactionalContext<FileMark>, files: Files) {
    this.actor = ctx.actor;
    this.#path = path;
    this.#format = format;
    this.#ctx = ctx;
    this.#files = files;
    this.#batch = ctx.last.batch;
    this.#mark = { ...ctx.last.mark, generation: ctx.last.mark.generation ?? ctx.generation };
    this.#result = new ResultFile(path, this.#mark.generation, files);
  }

  async open(): Promise<void> {
    const other = taken.get(this.#path);
    if (other !== undefined && other.actor !== this.actor) {
      throw new MillraceError("SINK_TAKEN", this.actor, `${this.#path} is being written to by ${other.actor}`, "Give each sink a path of its own.");
    }
    taken.set(this.#path, this as FileSession<never>);
    try {
      await this.#try(async () => {
        await this.#result.prepare();
        if (this.#mark.offset === 0) return;
        this.#published = (await this.#locate()) !== this.#result.data;
        if (!this.#published) await this.#publish();
      });
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  async write({ number, events }: Batch<T>): Promise<FileMark> {
    if (number !== this.#batch + 1) {
      throw new MillraceError("SINK_DIVERGED", this.actor, `batch ${number} was to be written to ${this.#path}, which holds ${this.#batch} batches`, "This is a fault of the engine: report it.");
    }
    if (this.#closed) throw this.#late();
    const { text, header } = events.length === 0 ? { text: "", header: undefined } : this.#format.encode(events, this.#mark.header);
    const bytes = Buffer.from(text);
    const { offset } = this.#mark;
    await this.#try(async () => {
      if (this.#file === undefined) {
        const place = await this.#locate();
        if (place === this.#path) return this.#compare(bytes);
        const file = await this.#files.open(place, writeThrough);
        // Closed meanwhile: nobody else would close what was opened.
        if (this.#closed) { await file.close(); throw this.#late(); }
        this.#file = file;
      }
      await this.#put(this.#file, bytes);
    });
    this.#batch = number;
    this.#mark = { ...this.#mark, offset: offset + bytes.length, ...(header === undefined ? {} : { header }) };
    return this.#mark;
  }

  async #put(file: fs.FileHandle, bytes: Buffer): Promise<void> {
    const { offset } = this.#mark;
    // A file that was cut off under us would get a hole here. Not asked in another thread: of an open file it costs less than the way there.
    const { size } = fstatSync(file.fd);
    if (size < offset) throw this.#lost(size);
    for (let done = 0; done < bytes.length; ) {
      const { bytesWritten } = await file.write(bytes, done, bytes.length - done, offset + done);
      done += bytesWritten;
    }
    if (!this.#published) await this.#publish();
  }

  /** Into a result that has its final form nothing is written any more: it may be that of a later run, and this a zombie. */
  async #compare(bytes: Buffer): Promise<void> {
    const file = await this.#files.open(this.#path, "r");
    try {
      const there = Buffer.alloc(bytes.length);
      await file.read(there, 0, bytes.length, this.#mark.offset);
      if (there.equals(bytes)) return;
    } finally {
      await file.close();
    }
    throw new MillraceError("SINK_DIVERGED", this.actor, `a batch was to be written to ${this.#path}, which has its final form already and holds something else there`, "The result is that of a later run, or something else wrote to it.");
  }

  async finish(): Promise<void> {
    await this.#closeFile();
    await this.#try(async () => {
      if (await this.#result.finish(this.#mark.offset)) return;
      const found = await this.#result.locate(this.#mark.offset);
      if (found === undefined || found.size < this.#mark.offset) throw this.#lost(found?.size);
      throw new MillraceError("SINK_DIVERGED", this.actor, `${found.file} has ${found.size} bytes, and ${this.#mark.offset} were written to it`, "Something else wrote to the file: start a new run with --fresh.");
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    if (taken.get(this.#path) === (this as FileSession<never>)) taken.delete(this.#path);
    await this.#closeFile();
  }

  /** Path of the data, made where there are to be none yet. */
  async #locate(): Promise<string> {
    const { offset } = this.#mark;
    const found = await this.#result.locate(offset);
    if (found === undefined && offset === 0) return this.#result.create();
    if (found === undefined || found.size < offset) throw this.#lost(found?.size);
    return found.file;
  }

  async #publish(): Promise<void> {
    if (!(await this.#result.publish())) {
      this.#ctx.log.warn("something else was put where the sink's result is to be; it is replaced when the flow has ended", { path: this.#path });
    }
    this.#published = true;
  }

  #late(): MillraceError {
    return new MillraceError("SINK_CLOSED", this.actor, `a batch was to be written to ${this.#path} when its sink was closed already`, "Nothing has to be done: the next life of the actor writes the batch.");
  }

  #lost(size: number | undefined): MillraceError {
    return new MillraceError("SINK_LOST", this.actor, `${this.#mark.offset} bytes were written to ${this.#path}.${this.#mark.generation}, and ${size === undefined ? "the file is gone" : `${size} are there`}`,
      "Put the file back as it was, or start a new run with --fresh.");
  }

  /** Says in our words what the system refuses. The file is opened anew for the next try. */
  async #try(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      if (error instanceof MillraceError || code === undefined) throw error;
      await this.#closeFile();
      if (hopeless.has(code)) {
        throw new MillraceError("SINK_UNWRITABLE", this.actor, `${this.#path} cannot be written: ${message}`, "Let the user who runs the flow write to the folder, or give another path.", { cause: error });
      }
      // Also after a failed write: what the system then holds for written is not, and the whole batch is written again.
      throw new UnavailableError(`${this.#path} cannot be written now: ${message}`, { cause: error });
    }
  }

  async #closeFile(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    // What a close could still report was reported by the writes.
    await file?.close().catch((error: Error) => this.#ctx.log.warn("the sink's file did not close", { path: this.#path, reason: error.message }));
  }
}

/** A person has to do something. All else (ENOSPC, EDQUOT, EIO, EMFILE …) passes, and is waited for. */
const hopeless = new Set(["EACCES", "EPERM", "EROFS", "ENOTDIR", "EISDIR", "ELOOP", "ENAMETOOLONG", "EEXIST"]);
