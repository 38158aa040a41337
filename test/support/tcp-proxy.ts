// A proxy between a client and a server, whose lines can be cut, mended, and changed on the way.
import { createServer, connect, type AddressInfo, type Socket } from "node:net";

/** What is done with the bytes of one connection on their way from the server to the client. */
export type Transform = (chunk: Buffer) => Buffer;

export interface TcpProxy extends AsyncDisposable {
  readonly port: number;
  /** Cuts all connections, and every new one at once. */
  cut(): void;
  /** Lets new connections through again. */
  mend(): void;
  /** For connections made from now on. */
  transform: (() => Transform) | undefined;
}

export async function startTcpProxy(targetPort: number): Promise<TcpProxy> {
  const sockets = new Set<Socket>();
  let isCut = false;
  const server = createServer((client) => {
    const upstream = connect(targetPort, "127.0.0.1");
    const end = () => {
      client.destroy();
      upstream.destroy();
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
    const transform = proxy.transform?.();
    client.pipe(upstream);
    upstream.on("data", (chunk) => client.write(transform ? transform(chunk) : chunk));
  });
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  const cut = () => {
    isCut = true;
    for (const socket of sockets) socket.destroy();
  };
  const proxy: TcpProxy = {
    port: (server.address() as AddressInfo).port,
    transform: undefined,
    cut,
    mend: () => { isCut = false; },
    async [Symbol.asyncDispose]() {
      cut();
      await new Promise((closed) => server.close(closed));
    },
  };
  return proxy;
}
