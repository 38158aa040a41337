// Nodes of a cluster on the broker and on disks in memory, for tests of what they do together: they share one server, each has a disk that outlives it.
import type { Flow } from "../../runtime/index.ts";
import { startNode } from "../../runtime/inspect/inspected-node.ts";
import { type ClusterNode, type ClusterNodeOptions, startClusterNode } from "../../runtime/node/cluster-node.ts";
import type { NodeWatch } from "../../runtime/node/node.ts";
import { MemoryBroker } from "../../runtime/testing/memory-broker.ts";
import { MemoryServer } from "../../runtime/testing/memory-server.ts";
import { MemoryDisk, MemoryStores } from "../../runtime/testing/memory-store.ts";
import { temporaryFolder } from "./temporary-folder.ts";
import { eventually } from "./waiting.ts";

export interface TwinMember {
  readonly cluster: ClusterNode;
  readonly broker: MemoryBroker;
  readonly stores: readonly MemoryStores[];
}

export interface TwinDisks {
  readonly journals: MemoryDisk;
  readonly own: MemoryDisk;
}

export class TwinCluster implements AsyncDisposable {
  readonly server = new MemoryServer();
  /** Of who looks from outside. */
  readonly broker = new MemoryBroker(this.server);
  readonly nodes = new Map<string, TwinMember>();
  readonly warnings: string[] = [];
  readonly #disks = new Map<string, TwinDisks>();
  readonly #folders: AsyncDisposable[] = [];
  // In place of the connection to a server, which keeps the process of a real node alive while it waits.
  readonly #alive = setInterval(() => {}, 1_000);

  disks(name: string): TwinDisks {
    const disks = this.#disks.get(name) ?? { journals: new MemoryDisk(), own: new MemoryDisk() };
    this.#disks.set(name, disks);
    return disks;
  }

  /** As `millrace node --name <name> --flow …`. */
  async start(name: string, flows: readonly Flow[], options: Partial<ClusterNodeOptions> = {}, watch: NodeWatch = {}): Promise<ClusterNode> {
    const folder = await temporaryFolder(), { journals: journalsDisk, own: ownDisk } = this.disks(name), broker = new MemoryBroker(this.server), journals = new MemoryStores(journalsDisk), own = new MemoryStores(ownDisk);
    this.#folders.push(folder);
    const parts = () => Promise.resolve({
      access: { broker, embedded: true, address: "memory", retainMs: 0, close: () => broker.close() }, journals, own, close: () => broker.close(),
      journalsOf: (flow: string) => Promise.resolve([...journalsDisk.stores.keys()].filter((store) => store.startsWith(`${flow}/`))),
      removeOldJournals: async (flow: string, token: string) => {
        for (const store of [...journalsDisk.stores.keys()]) if (store.startsWith(`${flow}/`) && store.split("/")[2]?.startsWith(`${token}-`) === false) await journals.remove(store);
      },
    });
    const cluster = await startClusterNode({ name, dataDir: folder.path, version: "0.1.0", flows, ...options }, { parts, warned: (line) => void this.warnings.push(`${name}: ${line}`), ...watch }, startNode);
    this.nodes.set(name, { cluster, broker, stores: [journals, own] });
    return cluster;
  }

  /** As by SIGKILL: nothing that it still does reaches anybody. */
  async kill(name: string): Promise<void> {
    const { cluster, broker, stores } = this.nodes.get(name) as TwinMember;
    this.nodes.delete(name);
    for (const store of stores) store.kill();
    broker.disconnect();
    cluster.node.root.kill();
    await broker.close();
  }

  /** Leaves in order. */
  async stop(name: string): Promise<void> {
    const { cluster } = this.nodes.get(name) as TwinMember;
    this.nodes.delete(name);
    await cluster.stop();
  }

  /** By actor: the node where it is placed, as the nodes that are there know. */
  placed(flow: string): ReadonlyMap<string, string | null> {
    const seats = [...this.nodes.values()][0]?.cluster.placements.state.flows.get(flow);
    return new Map((seats?.stages ?? []).flatMap((stage) => stage.seats.map(({ node }, p) => [`${flow}/${stage.name}/${p}`, node] as const)));
  }

  /** All actors of a flow are placed, and run where they are. */
  running(flow: string, withinMs = 20_000): Promise<void> {
    return eventually(`all of ${flow} runs`, () => {
      const placed = [...this.placed(flow)];
      return placed.length > 0 && placed.every(([actor, node]) => this.nodes.get(node ?? "")?.cluster.node.flows.find(({ name }) => name === flow)?.actors.get(actor)?.recovered?.signal.aborted === false);
    }, withinMs).then(() => {});
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { cluster } of this.nodes.values()) await cluster.stop();
    await this.broker.close();
    clearInterval(this.#alive);
    for (const folder of this.#folders) await folder[Symbol.asyncDispose]();
  }
}
