// A soak: one flow at a steady rate for an hour, undisturbed; memory, descriptors, streams, consumers and disk are looked at every few
// seconds and must be flat: the last third beside the one before. `npm run test:faults -- soak --minutes 60`
import { appendFileSync, writeFileSync } from "node:fs";
import { mkdir, readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { Api } from "../../runtime/broker/nats/api.ts";
import { Client } from "../../runtime/broker/nats/client.ts";
import { bundledProgram } from "../support/bundled-program.ts";
import { moment } from "../support/moment.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import type { ChaosFlow } from "./chaos-flow.ts";
import { chaosVerdict } from "./chaos-verifier.ts";
import { ChaosWorld } from "./chaos-world.ts";
import { soakChart } from "./soak-chart.ts";

export interface Sample {
  /** Since the beginning. */
  readonly seconds: number;
  readonly nodeMb: number;
  readonly serverMb: number;
  readonly nodeDescriptors: number;
  readonly serverDescriptors: number;
  readonly streams: number;
  readonly consumers: number;
  readonly journalsMb: number;
  readonly storeMb: number;
}
export type Measure = Exclude<keyof Sample, "seconds">;
export const measures: readonly Measure[] = ["nodeMb", "serverMb", "nodeDescriptors", "serverDescriptors", "streams", "consumers", "journalsMb", "storeMb"];

export interface SoakResult {
  readonly samples: readonly Sample[];
  readonly events: number;
  /** What is not flat, or not exact. */
  readonly wrongs: readonly string[];
  /** The samples as JSON lines, and the chart. */
  readonly files: readonly [jsonl: string, svg: string];
}

/** How much the median of the last third may be above that of the middle one: a share, and what is nothing in any case. */
const growth = { share: 0.1, nodeMb: 16, serverMb: 16, nodeDescriptors: 4, serverDescriptors: 4, streams: 0, consumers: 0, journalsMb: 8, storeMb: 16 } as const;

export async function soak({ minutes, seed, rate = 400, everyMs = 5_000, to, say = () => {} }: { readonly minutes: number; readonly seed: number; readonly rate?: number; readonly everyMs?: number; readonly to: string; readonly say?: (line: string) => void }): Promise<SoakResult> {
  await using folder = await temporaryFolder();
  await mkdir(to, { recursive: true });
  const program = await bundledProgram(new URL("chaos-child.ts", import.meta.url), folder.path), at = join(folder.path, "run"), events = Math.round(minutes * 60 * rate), files = [join(to, "soak.jsonl"), join(to, "soak.svg")] as const;
  const flow: ChaosFlow = { name: "soak", seed, events, rate, keys: 1_000, maxFrames: 4_096, folder: at }, samples: Sample[] = [], wrongs: string[] = [];
  await mkdir(at);
  await using world = await ChaosWorld.start({ flow, folder: at, program, servers: 1, fsync: "relaxed", small: false, unkept: true });
  const [server] = world.servers as [(typeof world.servers)[number]], client = await Client.connect({ servers: server.servers, user: server.user, pass: server.pass }), api = new Api(client);
  const node = world.live(world.places[0]), begun = performance.now();
  await node.started;
  writeFileSync(files[0], "");
  try {
    for (let over = false; !over; ) {
      over = await Promise.race([node.ended.then(() => true), moment(everyMs).then(() => false)]);
      if (over) break;
      const { streams, consumers } = await api.call<{ streams: number; consumers: number }>("INFO"), pid = node.process.pid as number;
      const sample: Sample = {
        seconds: Math.round((performance.now() - begun) / 1_000), nodeMb: await memoryMb(pid), serverMb: await memoryMb(server.pid), nodeDescriptors: await descriptors(pid), serverDescriptors: await descriptors(server.pid),
        streams, consumers, journalsMb: await sizeMb(node.place.dataDir), storeMb: await sizeMb(join(server.folder, "nats", "store")),
      };
      samples.push(sample);
      appendFileSync(files[0], `${JSON.stringify(sample)}\n`);
      if (samples.length % 12 === 0) say(JSON.stringify(sample));
    }
    const end = await node.ended;
    if (end.is === "done") wrongs.push(...(await chaosVerdict({ broker: await world.broker(), flow, folder: at, dataDirOf: () => node.place.dataDir, unkept: true })).wrongs);
    else wrongs.push(`the node ended: ${JSON.stringify(end)}`);
  } finally {
    await client.close();
    writeFileSync(files[1], soakChart(samples));
  }
  return { samples, events, wrongs: [...wrongs, ...notFlat(samples)], files };
}

/** What rises from the middle third to the last. */
export function notFlat(samples: readonly Sample[]): readonly string[] {
  const third = Math.floor(samples.length / 3);
  if (third < 3) return [`${samples.length} samples are too few to tell`];
  const median = (from: number, of: Measure) => samples.slice(from, from + third).map((sample) => sample[of]).sort((a, b) => a - b)[Math.floor(third / 2)] as number;
  return measures.flatMap((of) => {
    const middle = median(third, of), last = median(2 * third, of);
    return last <= middle * (1 + growth.share) || last <= middle + growth[of] ? [] : [`${of} rises: ${middle.toFixed(1)} in the middle third, ${last.toFixed(1)} in the last`];
  });
}

async function memoryMb(pid: number): Promise<number> {
  const kb = /^VmRSS:\s+(\d+) kB$/m.exec(await readFile(`/proc/${pid}/status`, "utf8").catch(() => ""))?.[1];
  return Math.round(Number(kb ?? 0) / 102.4) / 10;
}

async function descriptors(pid: number): Promise<number> {
  return (await readdir(`/proc/${pid}/fd`).catch(() => [])).length;
}

async function sizeMb(folder: string): Promise<number> {
  let bytes = 0;
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => [])) {
    if (entry.isFile()) bytes += (await stat(join(entry.parentPath ?? entry.path, entry.name)).catch(() => ({ size: 0 }))).size;
  }
  return Math.round(bytes / 104_857.6) / 10;
}
