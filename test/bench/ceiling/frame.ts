// Frames of the ceiling, as PROTOCOL.md section 3 has them: key lists once a frame, events as arrays, scanned before they are decoded.
import { Packr } from "msgpackr";

/** An event in a frame: ordinal, time, key, data. */
export interface Sent {
  readonly time: number;
  readonly key: string;
  readonly data: Readonly<Record<string, unknown>>;
}

export interface Received {
  readonly from: string;
  readonly seq: number;
  readonly events: readonly Sent[];
}

/** Plain msgpack with nothing that compiles code from what it receives. */
export function newPackr(): Packr {
  return new Packr({
    useRecords: false, mapsAsObjects: true, moreTypes: false, structuredClone: false, copyBuffers: true,
    int64AsType: "auto", useToJSON: false, variableMapSize: true,
  } as unknown as ConstructorParameters<typeof Packr>[0]);
}

/** Eight random bytes and their head, before each frame. */
const round = Buffer.from("c4080102030405060708", "hex");
const term = [1, round.subarray(2)];

export function packFrame(packr: Packr, from: string, seq: number, watermark: number, events: readonly Sent[]): Buffer {
  const shapes: string[][] = [];
  const rows = new Array<unknown[]>(events.length);
  let shape: string[] = [];
  for (let i = 0; i < events.length; i++) {
    const { time, key, data } = events[i] as Sent;
    const names = Object.keys(data);
    if (shapes.length === 0 || !same(names, shape)) {
      const known = shapes.findIndex((other) => same(names, other));
      if (known < 0) shapes.push(names);
      shape = known < 0 ? names : (shapes[known] as string[]);
    }
    const row = new Array<unknown>(5 + names.length);
    row[0] = i;
    row[1] = time;
    row[2] = key;
    row[3] = null;
    row[4] = shapes.length === 1 ? 0 : shapes.indexOf(shape);
    for (let j = 0; j < names.length; j++) row[5 + j] = data[names[j] as string];
    rows[i] = row;
  }
  return packr.pack([1, from, "k3v9x2ab-1", term, term, seq, seq, 0, watermark, null, shapes, [], rows]);
}

function same(a: readonly string[], b: readonly string[]): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

export function unpackFrame(packr: Packr, message: Uint8Array): Received {
  // The client's payloads are views of what the socket read: what is kept is copied.
  const bytes = Buffer.from(message.subarray(round.length));
  if (!isSound(bytes)) throw new Error("a frame is no sound msgpack");
  const frame = packr.unpack(bytes) as unknown[];
  const shapes = frame[10] as string[][];
  const rows = frame[12] as unknown[][];
  const events = new Array<Sent>(rows.length);
  for (let i = 0; i < rows.length; i++) {
    const row = rows[i] as unknown[];
    const names = shapes[row[4] as number] as string[];
    const data: Record<string, unknown> = {};
    for (let j = 0; j < names.length; j++) data[names[j] as string] = row[5 + j];
    events[i] = { time: row[1] as number, key: row[2] as string, data };
  }
  return { from: frame[1] as string, seq: frame[5] as number, events };
}

/** The mailbox message of a frame. */
export function messageOf(frame: Uint8Array): Buffer {
  return Buffer.concat([round, frame]);
}

const deepest = 64;
const mostValues = 400_000;
const open = new Int32Array(deepest + 2);

/** Follows the structure without building anything: sizes, depth, count, types. */
function isSound(bytes: Uint8Array): boolean {
  let at = 0, values = 0, depth = 0;
  open[0] = 1;
  while (depth >= 0) {
    if (open[depth] === 0) { depth--; continue; }
    open[depth] = (open[depth] as number) - 1;
    if (at >= bytes.length || ++values > mostValues) return false;
    const type = bytes[at++] as number;
    let children = 0;
    if (type < 0x80 || type >= 0xe0) continue;
    if (type < 0x90) children = (type & 15) * 2;
    else if (type < 0xa0) children = type & 15;
    else if (type < 0xc0) { at += type & 31; continue; }
    else switch (type) {
      case 0xc0: case 0xc2: case 0xc3: continue;
      case 0xcc: case 0xd0: at += 1; continue;
      case 0xcd: case 0xd1: at += 2; continue;
      case 0xca: case 0xce: case 0xd2: at += 4; continue;
      case 0xcb: case 0xcf: case 0xd3: at += 8; continue;
      case 0xc4: case 0xd9: at += 1 + (bytes[at] as number); continue;
      case 0xc5: case 0xda: at += 2 + size16(bytes, at); continue;
      case 0xc6: case 0xdb: at += 4 + size32(bytes, at); continue;
      case 0xdc: children = size16(bytes, at); at += 2; break;
      case 0xdd: children = size32(bytes, at); at += 4; break;
      case 0xde: children = size16(bytes, at) * 2; at += 2; break;
      default: return false;
    }
    if (children > 0) {
      if (depth >= deepest) return false;
      open[++depth] = children;
    }
  }
  return at === bytes.length;
}

function size16(bytes: Uint8Array, at: number): number {
  return ((bytes[at] as number) << 8) | (bytes[at + 1] as number);
}

function size32(bytes: Uint8Array, at: number): number {
  return size16(bytes, at) * 65_536 + size16(bytes, at + 2);
}
