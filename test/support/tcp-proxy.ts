// A proxy between a client and a server, whose lines can be cut and mended, slowed, brought to a standstill, and changed on the way.
import { createServer, connect, type AddressInfo, type Socket } from "node:net";

/** What is done with the bytes of one connection on their way from the server to the client. */
export type Transform = (chunk: Buffer) => Buffer;

/** Which way: what the server says ("down"), what the client says ("up"). */
export type Way = "up" | "down";

export interface TcpProxy extends AsyncDisposable {
  readonly port: number;
  /** Cuts all connections, and every new one at once. */
  cut(): void;
  /** Lets new connections through again, and what was held goes on. */
  mend(): void;
  /** Half-open: connections stay, and nothing goes through that way any more, until `mend`; new ones are held as well. */
  hold(...ways: readonly Way[]): void;
  /** Each chunk takes so many ms longer, each way. Default 0. */
  delayMs: number;
  /** For connections made from now on. */
  transform: (() => Transform) | undefined;
}

export async function startTcpProxy(targetPort: number): Promise<TcpProxy> {
  const sockets = new Set<Socket>(), lanes = new Set<Lane>(), held = new Set<Way>();
  let isCut = false;
  const server = createServer((client) => {
    const upstream = connect(targetPort, "127.0.0.1"), transform = proxy.transform?.();
    const pair = [new Lane("up", client, upstream, held, proxy), new Lane("down", upstream, client, held, proxy, transform)];
    const end = () => {
      client.destroy();
      upstream.destroy();
      for (const lane of pair) { lane.close(); lanes.delete(lane); }
    };
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.setNoDelay(true);
      socket.on("error", end);
      socket.on("close", () => {
        sockets.delete(socket);
        end();
      });
    }
    if (isCut) return end();
    for (const lane of pair) lanes.add(lane);
  });
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  const cut = () => {
    isCut = true;
    for (const socket of sockets) socket.destroy();
  };
  const proxy: TcpProxy = {
    port: (server.address() as AddressInfo).port,
    delayMs: 0,
    transform: undefined,
    cut,
    mend() {
      isCut = false;
      held.clear();
      for (const lane of lanes) lane.move();
    },
    hold(...ways) { for (const way of ways) held.add(way); },
    async [Symbol.asyncDispose]() {
      cut();
      await new Promise((closed) => server.close(closed));
    },
  };
  return proxy;
}

/** One way of one connection. What waits in it is bounded: nothing more is read while something waits. */
class Lane {
  readonly #way: Way;
  readonly #from: Socket;
  readonly #to: Socket;
  readonly #held: ReadonlySet<Way>;
  readonly #waiting: { readonly chunk: Buffer; readonly due: number }[] = [];
  #timer: NodeJS.Timeout | undefined;

  constructor(way: Way, from: Socket, to: Socket, held: ReadonlySet<Way>, proxy: { delayMs: number }, transform: Transform = (chunk) => chunk) {
    this.#way = way;
    this.#from = from;
    this.#to = to;
    this.#held = held;
    from.on("data", (chunk: Buffer) => {
      this.#waiting.push({ chunk: transform(chunk), due: proxy.delayMs === 0 ? 0 : performance.now() + proxy.delayMs });
      this.move();
    });
    to.on("drain", () => this.move());
  }

  /** Hands on what is due. */
  move(): void {
    clearTimeout(this.#timer);
    const now = performance.now();
    for (let first = this.#waiting[0]; first !== undefined && first.due <= now && !this.#held.has(this.#way) && !this.#to.writableNeedDrain; first = this.#waiting[0]) {
      this.#waiting.shift();
      this.#to.write(first.chunk);
    }
    const [first] = this.#waiting;
    if (this.#waiting.length > mostWaiting || (first === undefined && this.#to.writableNeedDrain)) this.#from.pause();
    else if (this.#from.isPaused()) this.#from.resume();
    if (first !== undefined && first.due > now) this.#timer = setTimeout(() => this.move(), first.due - now);
  }

  close(): void {
    clearTimeout(this.#timer);
  }
}

/** Chunks. */
const mostWaiting = 256;
