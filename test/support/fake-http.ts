// A web server on loopback that gives what is in a table, for fetching from "the internet".
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

export interface FakeHttp extends AsyncDisposable {
  /** Such as "http://127.0.0.1:41234". */
  readonly url: string;
  /** Paths that were asked for, in order. */
  readonly asked: readonly string[];
}

/** Paths of `files` begin with "/". What is not there is a 404. */
export async function fakeHttp(files: ReadonlyMap<string, Uint8Array | string>): Promise<FakeHttp> {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    const path = decodeURIComponent(new URL(request.url ?? "/", "http://loopback").pathname);
    asked.push(path);
    const content = files.get(path);
    response.writeHead(content === undefined ? 404 : 200).end(content);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
