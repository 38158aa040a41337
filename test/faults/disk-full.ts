// The disk full under the journals, under nats-server, in the middle of a flow: it suspends and says so; when there is room it goes on,
// and the result is exact. `npm run test:faults -- disk`
import { join } from "node:path";
import { bundledProgram } from "../support/bundled-program.ts";
import type { TestServer } from "../support/nats-server.ts";
import { type SmallDisk, smallDisk } from "../support/small-disk.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { eventually, within } from "../support/waiting.ts";
import type { ChaosFlow } from "./chaos-flow.ts";
import { type ChaosVerdict, chaosVerdict } from "./chaos-verifier.ts";
import { ChaosWorld } from "./chaos-world.ts";

export type FullDisk = "journals" | "server";

export interface DiskFullResult extends ChaosVerdict {
  /** What the tree said of an actor while the disk was full. */
  readonly said: string;
  /** Whether the server had to be started again to take anything. */
  readonly restarted: boolean;
  /** What the tree said of an actor, with room again, before that; "" where there was no need of it. */
  readonly stuck: string;
}

const mebibytes = 96, saysMs = 30_000, endMs = 90_000, stuckMs = 60_000;

/** `undefined` where this system has no small disks. */
export async function diskFull(which: FullDisk, { seed, events, rate }: { readonly seed: number; readonly events: number; readonly rate: number }): Promise<DiskFullResult | undefined> {
  await using folder = await temporaryFolder();
  const program = await bundledProgram(new URL("chaos-child.ts", import.meta.url), folder.path), at = join(folder.path, "run");
  const flow: ChaosFlow = { name: "full", seed, events, rate, keys: 500, maxFrames: 4_096, folder: at };
  const common = { flow, folder: at, program, servers: 1, fsync: "relaxed", small: true } as const;
  if (which === "journals") {
    await using disk = await smallDisk(join(at, "a"), mebibytes);
    if (disk === undefined) return undefined;
    await using world = await ChaosWorld.start({ ...common, nodePrefix: disk.prefix });
    return await filled(world, disk, flow, join(disk.root, world.places[0].dataDir));
  }
  await using folderOfServer = { disk: undefined as SmallDisk | undefined, async [Symbol.asyncDispose]() { await this.disk?.[Symbol.asyncDispose](); } };
  await using none = await smallDisk(join(at, "none"), 1);
  if (none === undefined) return undefined;
  await using world = await ChaosWorld.start({
    ...common,
    async serverProgram(path, its) {
      const disk = (folderOfServer.disk = await smallDisk(join(its, "nats", "store"), mebibytes));
      return await (disk as SmallDisk).program(path, its);
    },
  });
  return await filled(world, folderOfServer.disk as SmallDisk, flow, world.places[0].dataDir, world.servers[0]);
}

async function filled(world: ChaosWorld, disk: SmallDisk, flow: ChaosFlow, dataDir: string, server?: TestServer): Promise<DiskFullResult> {
  const node = world.live(world.places[0]);
  await node.started;
  const taken = async (): Promise<number> => {
    if (node.end !== undefined) throw new Error(`the node ended: ${JSON.stringify(node.end)}`);
    return (await world.ask(node)).counts.reduce((sum, [, count]) => sum + count, 0);
  };
  await eventually("a part of the flow is done", async () => (await taken()) > flow.events, saysMs);
  await disk.fill();
  let seen = "";
  const said = await eventually("an actor is suspended, and it is said why", async () => {
    await taken();
    const { lines } = await world.ask(node);
    seen = lines.filter(({ state }) => state !== "running.active").map(({ id, state, why }) => `${id} ${state}: ${why}`).join("\n");
    const line = lines.find(({ state, why }) => state.startsWith("unavailable") && why !== undefined && /no room|no space|NATS/i.test(why));
    return line === undefined ? undefined : `${line.id} ${line.state}: ${line.why}`;
  }, saysMs).catch((error: Error) => { throw new Error(`${error.message}; it says: ${seen}`); });
  await disk.free();
  // nats-server takes nothing more on a stream that it could not write to, which only a new start of it mends: that is said.
  const stuck = server === undefined ? "" : await eventually("the flow ends by itself, or it is said that the server writes nothing more, and what to do", async () => {
    if (node.end !== undefined) return { says: "" };
    const says = (await world.ask(node)).lines.find(({ why }) => why?.includes("NATS_NOT_WRITING"))?.why;
    return says === undefined ? undefined : { says };
  }, stuckMs).then(({ says }) => says);
  const restarted = stuck !== "";
  if (restarted) await server?.restart();
  const end = await within(endMs, "the flow ends when there is room", node.ended);
  if (end.is !== "done") throw new Error(`the node ended: ${JSON.stringify(end)}`);
  return { ...(await chaosVerdict({ broker: await world.broker(), flow, folder: world.options.folder, dataDirOf: () => dataDir })), said, restarted, stuck };
}
