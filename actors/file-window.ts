// A file read forward in blocks, through a window that holds the bytes which are not done with yet.
import { open, stat, type FileHandle } from "node:fs/promises";
import { resolve } from "node:path";
import { MillraceError, UnavailableError } from "../runtime/index.ts";

/** Bytes asked for at a time. */
export const blockBytes = 256 * 1024;
/** A line, record or element above this is given up, so that no input can fill the memory. */
export const maxRecordBytes = 8 * 1024 * 1024;
/** As much of a given-up record is kept for the person who looks at it. */
export const excerptBytes = 64 * 1024;

export class FileWindow {
  readonly path: string;
  /** What is held. Good until the next `more`. */
  bytes: Buffer = Buffer.alloc(0);
  /** Where in the file `bytes` begins. */
  offset: number;
  #block = Buffer.allocUnsafeSlow(2 * blockBytes);
  readonly #file: FileHandle;
  readonly #signal: AbortSignal;

  private constructor(path: string, file: FileHandle, offset: number, signal: AbortSignal) {
    this.path = path;
    this.#file = file;
    this.offset = offset;
    this.#signal = signal;
  }

  /** @throws MillraceError FILE_MISSING, FILE_UNREADABLE; UnavailableError for what passes. */
  static async open(path: string, offset: number, signal: AbortSignal): Promise<FileWindow> {
    return new FileWindow(path, await openFile(path), offset, signal);
  }

  /**
   * Forgets the first `done` bytes and reads a block behind the rest. False at the end of the file.
   * Throws the signal's reason when the actor stops: to return would say that the file has ended.
   */
  async more(done: number): Promise<boolean> {
    this.#signal.throwIfAborted();
    const kept = this.bytes.length - done;
    if (kept + blockBytes > this.#block.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(2 * this.#block.length, kept + blockBytes));
      this.bytes.copy(larger, 0, done);
      this.#block = larger;
    } else {
      this.#block.copyWithin(0, done, this.bytes.length);
    }
    this.offset += done;
    let read: number;
    try {
      ({ bytesRead: read } = await this.#file.read(this.#block, kept, blockBytes, this.offset + kept));
    } catch (error) {
      throw fileFault(this.path, error);
    }
    this.bytes = this.#block.subarray(0, kept + read);
    return read > 0;
  }

  /** A copy of the first bytes from `at` to `end`, for a dead letter. */
  excerpt(at: number, end: number): Uint8Array {
    return new Uint8Array(this.bytes.subarray(at, Math.min(end, at + excerptBytes)));
  }

  close(): Promise<void> {
    return this.#file.close();
  }
}

/** Length of the byte order mark at the beginning of a UTF-8 file. */
export function markLength(bytes: Buffer): number {
  return bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? 3 : 0;
}

/** Opens a regular file for reading. What is none is told before it is opened: to open a pipe waits for its writer. */
export async function openFile(path: string): Promise<FileHandle> {
  try {
    const found = await stat(path);
    if (!found.isFile()) {
      throw new MillraceError("FILE_UNREADABLE", path, `${resolve(path)} is ${found.isDirectory() ? "a folder" : "a pipe or a device"}, no file`,
        "Give the path of a regular file: it is read again from its position after a crash.");
    }
    return await open(path, "r");
  } catch (error) {
    throw fileFault(path, error);
  }
}

const passing = new Set(["EMFILE", "ENFILE", "ENOMEM", "EIO", "EAGAIN", "EBUSY", "ESTALE", "ETIMEDOUT"]);

/** What the system says about a file, in our words. */
export function fileFault(path: string, error: unknown): unknown {
  const code = (error as NodeJS.ErrnoException).code;
  if (error instanceof MillraceError || code === undefined) return error;
  if (code === "ENOENT" || code === "ENOTDIR") {
    return new MillraceError("FILE_MISSING", path, `there is no file ${resolve(path)}`,
      "Put the file there, or give its path as seen from the folder in which the flow is started.", { cause: error });
  }
  if (passing.has(code)) return new UnavailableError(`${path} cannot be read now: ${(error as Error).message}`, { cause: error });
  const forbidden = code === "EACCES" || code === "EPERM";
  return new MillraceError("FILE_UNREADABLE", path, `${resolve(path)} cannot be read: ${forbidden ? "no permission" : (error as Error).message}`,
    forbidden ? "Let the user who runs the flow read the file and enter its folders." : "Make the file readable.", { cause: error });
}

/** The path of a file source or sink, checked when the flow is defined. */
export function pathOption(of: string, path: unknown): string {
  if (typeof path === "string" && path !== "" && !path.includes("\0")) return path;
  throw new MillraceError("OPTION_INVALID", of, `the path of ${of} is ${typeof path === "string" ? JSON.stringify(path) : `a ${typeof path}`}`, "Give the path of a file as a text.");
}
