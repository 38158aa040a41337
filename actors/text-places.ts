// Line and column of a byte in a text file. Counted only when something has to be said about it, so that reading itself
// need not count.
import { blockBytes, fileFault, markLength, openFile } from "./file-window.ts";

/** Ask in the order of the file: counting goes on from the place asked for last. */
export class TextPlaces {
  readonly #path: string;
  readonly #signal: AbortSignal;
  #offset = 0;
  #line = 1;
  #column = 1;

  constructor(path: string, signal: AbortSignal) {
    this.#path = path;
    this.#signal = signal;
  }

  /** As "12:5"; both count from 1, columns in characters. */
  async of(offset: number): Promise<string> {
    const file = await openFile(this.#path);
    try {
      const block = Buffer.allocUnsafe(blockBytes);
      while (this.#offset < offset) {
        this.#signal.throwIfAborted();
        const { bytesRead } = await file.read(block, 0, Math.min(blockBytes, offset - this.#offset), this.#offset);
        if (bytesRead === 0) break;
        this.#count(block, bytesRead);
      }
      return `${this.#line}:${this.#column}`;
    } catch (error) {
      throw fileFault(this.#path, error);
    } finally {
      await file.close();
    }
  }

  #count(block: Buffer, length: number): void {
    for (let i = 0; i < length; i++) {
      const byte = block[i] as number;
      if (byte === 0x0a) {
        this.#line++;
        this.#column = 1;
      } else if ((byte & 0xc0) !== 0x80 && !(this.#offset + i === 0 && markLength(block) > 0)) {
        this.#column++;
      }
    }
    this.#offset += length;
  }
}
