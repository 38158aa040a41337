// Nodes on the broker and the disk in memory, for tests of what a node does: they share one world, and can be killed.
import type { Flow } from "../../runtime/index.ts";
import { startNode } from "../../runtime/inspect/inspected-node.ts";
import type { NodeWatch, RunningNode } from "../../runtime/node/node.ts";
import type { NodeOptions } from "../../runtime/node/options.ts";
import type { NodeParts } from "../../runtime/node/parts.ts";
import { MemoryBroker } from "../../runtime/testing/memory-broker.ts";
import { MemoryServer } from "../../runtime/testing/memory-server.ts";
import { MemoryDisk, MemoryStores } from "../../runtime/testing/memory-store.ts";
import { temporaryFolder, type TemporaryFolder } from "./temporary-folder.ts";

export interface TwinNode extends AsyncDisposable {
  readonly node: RunningNode;
  readonly broker: MemoryBroker;
  /** As by SIGKILL: nothing that it still does reaches anybody. */
  kill(): Promise<void>;
}

export class TwinWorld implements AsyncDisposable {
  readonly server = new MemoryServer();
  readonly journals = new MemoryDisk();
  readonly own = new MemoryDisk();
  readonly warnings: string[] = [];
  readonly folder: TemporaryFolder;

  private constructor(folder: TemporaryFolder) {
    this.folder = folder;
  }

  // In place of the connection to a server, which keeps the process of a real node alive while it waits.
  readonly #alive = setInterval(() => {}, 1_000);

  static async make(): Promise<TwinWorld> {
    return new TwinWorld(await temporaryFolder());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#alive);
    await this.folder[Symbol.asyncDispose]();
  }

  /** Use it with `await using`. */
  async start(flows: readonly Flow[], options: NodeOptions = {}, watch: NodeWatch = {}): Promise<TwinNode> {
    const broker = new MemoryBroker(this.server), journals = new MemoryStores(this.journals), own = new MemoryStores(this.own);
    let killed = false;
    const parts = (): Promise<NodeParts> => Promise.resolve({
      access: { broker, embedded: true, address: "memory", retainMs: 0, close: () => broker.close() },
      journals, own,
      removeOldJournals: async (flow, token) => {
        for (const name of [...this.journals.stores.keys()]) if (name.startsWith(`${flow}/`) && name.split("/")[2]?.startsWith(`${token}-`) === false) await journals.remove(name);
      },
      close: () => broker.close(),
    });
    const node = await startNode({ dataDir: this.folder.path, flows, ...options }, { parts, warned: (line) => void this.warnings.push(line), ...watch });
    return {
      node, broker,
      async kill() {
        killed = true;
        journals.kill();
        own.kill();
        broker.disconnect();
        node.root.kill();
        await broker.close();
      },
      async [Symbol.asyncDispose]() {
        if (!killed) await node.stop();
      },
    };
  }
}
