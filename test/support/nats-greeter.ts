// Says that it is a nats-server, and nothing else: for what is looked at when a connection is made.
import { createServer, type AddressInfo, type Socket } from "node:net";

export interface NatsGreeter extends AsyncDisposable {
  readonly servers: string;
}

/** A listener that greets with this INFO and answers PING, `-ERR` where `refusal` is given. */
export async function startNatsGreeter(info: object, refusal?: string): Promise<NatsGreeter> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => sockets.delete(socket));
    socket.write(`INFO ${JSON.stringify({ server_id: "x", proto: 1, headers: true, max_payload: 1_048_576, ...info })}\r\n`);
    socket.on("data", (chunk) => {
      if (chunk.includes("PING")) socket.write(refusal === undefined ? "PONG\r\n" : `-ERR '${refusal}'\r\n`);
    });
  });
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  return {
    servers: `nats://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((closed) => server.close(closed));
    },
  };
}
