// Finds the elements of one array in a JSON document that comes block by block. Only what leads to the array is looked
// into here; every other value is a span of bytes, and left to JSON.parse.
import { excerptBytes, maxRecordBytes } from "./file-window.ts";

/** What is wrong, and at which byte of the file. */
export class JsonFault extends Error {
  readonly code: "JSON_INVALID" | "JSON_PATH_MISSING" | "JSON_NOT_ARRAY";
  readonly offset: number;
  constructor(code: JsonFault["code"], offset: number, message: string) {
    super(message);
    this.code = code;
    this.offset = offset;
  }
}

/** An element of the array, as offsets in the file. */
export interface Element {
  readonly start: number;
  readonly end: number;
  /** Its beginning, where it is above 8 MiB and therefore not kept. */
  readonly excerpt: Uint8Array | undefined;
}

/** An object or array on the way to the one that is looked for, or that one. */
interface Container {
  readonly array: boolean;
  /** Parts of the path that lead here. */
  readonly matched: number;
  /** Which value is at hand: its number in an array, its name in an object. */
  index: number;
  name: string;
  /** Names met so far: shown when the path goes on by none of them. */
  readonly names: string[];
}

const shownNames = 10;
const comma = 0x2c, colon = 0x3a, quote = 0x22, backslash = 0x5c;
const openBracket = 0x5b, closeBracket = 0x5d, openBrace = 0x7b, closeBrace = 0x7d;

export class JsonScanner {
  /** Offset of the first byte that is still needed. */
  keep: number;
  readonly #path: readonly string[];
  readonly #way: Container[] = [];
  #found = false;
  #expect: "value" | "first-value" | "name" | "first-name" | "colon" | "comma" | "nothing" = "value";
  #at: number;
  /** Of the span at hand: where it begins (-1: there is none), and the state in which it was left for want of bytes. */
  #start = -1;
  #depth = 0;
  #inText = false;
  #excerpt: Uint8Array | undefined;

  /** @param at names and numbers with dots between; "" is the document itself. @param offset where the document begins. */
  constructor(at: string, offset: number) {
    this.#path = at === "" ? [] : at.split(".");
    this.#at = this.keep = offset;
  }

  /**
   * The next element of the array; "more" where it does not end in `bytes` (call again with those from `keep` on and
   * more behind); "end" after a whole document. `last` says that no more will come.
   */
  next(bytes: Buffer, offset: number, last: boolean): Element | "more" | "end" {
    const end = offset + bytes.length;
    for (;;) {
      if (this.#start === -1) {
        while (this.#at < end && isSpace(bytes[this.#at - offset] as number)) this.#at++;
        if (this.#at === end) {
          this.keep = end;
          if (!last) return "more";
          if (this.#expect === "nothing") return "end";
          throw this.#fault(this.#way.length === 0 ? "the file is empty" : "the document ends before it is complete");
        }
        if (this.#structure(bytes[this.#at - offset] as number)) continue;
        this.#start = this.#at;
        this.#depth = 0;
        this.#inText = false;
        this.#excerpt = undefined;
      }
      const complete = this.#span(bytes, offset) || (last && this.#depth === 0 && !this.#inText);
      const start = this.#start;
      if (this.#at - start > maxRecordBytes) this.#excerpt ??= new Uint8Array(bytes.subarray(start - offset, start - offset + excerptBytes));
      if (!complete) {
        if (last) throw new JsonFault("JSON_INVALID", start, `the ${this.#inText && this.#depth === 0 ? "text" : "value"} that begins here does not end`);
        this.keep = this.#excerpt === undefined ? start : Math.min(this.#at, end);
        return "more";
      }
      this.#start = -1;
      const top = this.#way.at(-1) as Container;
      if (this.#expect !== "name" && this.#expect !== "first-name") {
        this.#expect = "comma";
        if (top.matched === this.#path.length) return { start, end: this.#at, excerpt: this.#excerpt };
        if (this.#excerpt === undefined) parseSpan(bytes.toString("utf8", start - offset, this.#at - offset), start);
      } else {
        this.#expect = "colon";
        top.name = this.#excerpt === undefined ? String(parseSpan(bytes.toString("utf8", start - offset, this.#at - offset), start)) : "";
        if (top.names.length < shownNames) top.names.push(top.name);
      }
    }
  }

  /** Takes punctuation, and goes into what leads to the array. False where a span begins. */
  #structure(byte: number): boolean {
    const top = this.#way.at(-1);
    switch (this.#expect) {
      case "nothing":
        throw this.#fault("there is something behind the document");
      case "colon":
        if (byte !== colon) throw this.#fault("a colon is missing");
        this.#expect = "value";
        break;
      case "comma":
        if (byte !== comma) return this.#leave(byte, "a comma or the end of the list or object is missing");
        (top as Container).index++;
        this.#expect = (top as Container).array ? "value" : "name";
        break;
      case "name":
      case "first-name":
        if (byte === quote) return false;
        if (this.#expect === "name") throw this.#fault("a name in double quotes is missing");
        return this.#leave(byte, "a name in double quotes is missing");
      case "first-value":
        if (byte === closeBracket) return this.#leave(byte, "");
        return this.#value(byte, top);
      case "value":
        return this.#value(byte, top);
    }
    this.#at++;
    return true;
  }

  #value(byte: number, top: Container | undefined): boolean {
    if (byte === comma || byte === colon || byte === closeBracket || byte === closeBrace) throw this.#fault("a value is missing");
    const leads = top === undefined || (!this.#found && top.matched < this.#path.length && (top.array ? String(top.index) : top.name) === this.#path[top.matched]);
    if (!leads) return false;
    const matched = top === undefined ? 0 : top.matched + 1;
    const array = byte === openBracket;
    if (matched === this.#path.length ? !array : !array && byte !== openBrace) {
      const way = this.#path.slice(0, matched).join(".");
      const what = `${way === "" ? "the document" : `"${way}"`} is ${kindOf(byte)}`;
      if (matched === this.#path.length) throw new JsonFault("JSON_NOT_ARRAY", this.#at, `${what}, no array`);
      throw new JsonFault("JSON_PATH_MISSING", this.#at, `${what}, so there is no "${this.#path.join(".")}"`);
    }
    this.#way.push({ array, matched, index: 0, name: "", names: [] });
    this.#expect = array ? "first-value" : "first-name";
    this.#at++;
    return true;
  }

  #leave(byte: number, otherwise: string): boolean {
    const top = this.#way.at(-1) as Container;
    if (byte !== (top.array ? closeBracket : closeBrace)) throw this.#fault(otherwise);
    if (top.matched === this.#path.length) this.#found = true;
    if (!this.#found) {
      const way = this.#path.slice(0, top.matched).join(".");
      const has = top.array ? `${this.#expect === "first-value" ? 0 : top.index + 1} elements` : top.names.length === 0 ? "nothing in it" : top.names.map((name) => JSON.stringify(name)).join(", ") + (top.names.length === shownNames ? " …" : "");
      throw new JsonFault("JSON_PATH_MISSING", this.#at, `there is no "${this.#path.join(".")}": ${way === "" ? "the document" : `"${way}"`} has ${has}`);
    }
    this.#way.pop();
    this.#expect = this.#way.length === 0 ? "nothing" : "comma";
    this.#at++;
    return true;
  }

  /** Goes on to the end of the value or name that begins at #start. False where the bytes do not suffice. */
  #span(bytes: Buffer, offset: number): boolean {
    const { length } = bytes;
    const first = this.#start - offset;
    let i = this.#at - offset;
    let depth = this.#depth;
    let inText = this.#inText;
    let ended = false;
    while (!ended && i < length) {
      const byte = bytes[i] as number;
      if (inText) {
        if (byte === backslash) i++;
        else if (byte === quote) {
          inText = false;
          ended = depth === 0;
        }
      } else if (byte === quote || byte === openBrace || byte === openBracket || byte === closeBrace || byte === closeBracket || byte === comma || byte === colon || isSpace(byte)) {
        if (depth === 0 && i !== first) break;          // the end of a number or word
        if (byte === quote) inText = true;
        else if (byte === openBrace || byte === openBracket) depth++;
        else if (byte === closeBrace || byte === closeBracket) ended = --depth === 0;
      }
      i++;
    }
    const complete = ended || (i < length && !inText && depth === 0);
    this.#at = offset + i;
    this.#depth = depth;
    this.#inText = inText;
    return complete;
  }

  #fault(message: string): JsonFault {
    return new JsonFault("JSON_INVALID", this.#at, message);
  }
}

/** JSON.parse, with the place of what is wrong as exactly as the engine tells it. */
export function parseSpan(text: string, offset: number): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    const { message } = error as Error;
    const position = Number(/at position (\d+)/.exec(message)?.[1] ?? 0);
    throw new JsonFault("JSON_INVALID", offset + Buffer.byteLength(text.slice(0, position)), message.replace(/ in JSON at position \d+.*/, ""));
  }
}

function isSpace(byte: number): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}

function kindOf(byte: number): string {
  if (byte === openBrace) return "an object";
  if (byte === openBracket) return "an array";
  if (byte === quote) return "a text";
  return byte === 0x2d || (byte >= 0x30 && byte <= 0x39) ? "a number" : "a boolean or null";
}
