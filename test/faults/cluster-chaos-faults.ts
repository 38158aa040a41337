// What chaos does to a flow on several nodes, drawn by the seed: to nodes, servers and lines; and what operators do meanwhile, which is no
// fault at all, and may be refused while another change is under way or who is asked is away.
import type { Random } from "../../runtime/event/clock.ts";
import { askPlacement } from "../../runtime/inspect/placement-orders.ts";
import { moment } from "../support/moment.ts";
import { between, type Fault, groundFaults, oneOf } from "./chaos-faults.ts";
import type { ClusterChaosRun } from "./cluster-chaos-run.ts";
import type { NodePlace } from "./cluster-chaos-world.ts";

const scaled = ["tally", "calls", "windows", "ordered"] as const, mostActors = 5, nodeRestMs = 8_000, restMs = 12_000;

/** With a node that no other fault has, until it is over. */
async function withNode(run: ClusterChaosRun, random: Random, of: (place: NodePlace) => Promise<void>): Promise<void> {
  const free = run.world.places.filter(({ isTaken, node }) => !isTaken && node !== undefined);
  if (free.length > 0) await run.taking(oneOf(random, free), of);
}

async function target({ world: { options: { flow } } }: ClusterChaosRun, random: Random): Promise<readonly [stage: string, count: string]> {
  return [`${flow.name}/${oneOf(random, scaled)}`, String(1 + Math.floor(random.next() * mostActors))];
}

/** Kills who leads the cluster, at some moment of what is under way. */
async function leaderDies(run: ClusterChaosRun, random: Random): Promise<void> {
  await moment(between(random, 0, 1_500));
  const leader = (await askPlacement(await run.world.broker()).catch(() => undefined))?.leader, place = run.world.places.find(({ name, isTaken }) => name === leader && !isTaken);
  if (place !== undefined) await run.taking(place, () => run.dies(place, between(random, 0, 5_000)));
}

/** What is disturbed rests for a while after each: else no order of an operator would come through. */
const resting = (mostMs: number, faults: readonly Fault<ClusterChaosRun>[]): readonly Fault<ClusterChaosRun>[] => faults.map((fault) => ({
  ...fault,
  async run(run, random) {
    await fault.run(run, random);
    await moment(between(random, 0, mostMs));
  },
}));

const nodeFaults: readonly Fault<ClusterChaosRun>[] = [
  { name: "node killed", target: "node", weight: 6, run: (run, random) => withNode(run, random, (place) => run.dies(place, between(random, 0, 6_000))) },
  {
    name: "node stands still", target: "node", weight: 3,
    run: (run, random) => withNode(run, random, async ({ node }) => {
      node?.child.kill("SIGSTOP");
      await moment(between(random, 50, 2_500));
      node?.child.kill("SIGCONT");
    }),
  },
  {
    // Past every time-out: others have its actors meanwhile.
    name: "zombie", target: "node", weight: 4,
    run: (run, random) => withNode(run, random, async (place) => {
      place.node?.child.kill("SIGSTOP");
      await run.elsewhere(place);
      await moment(between(random, 0, 3_000));
      place.node?.child.kill("SIGCONT");
      await run.rejoins(place);
    }),
  },
  {
    name: "node cut off", target: "node", weight: 3,
    run: (run, random) => withNode(run, random, async (place) => {
      const isHeld = random.next() < 0.5;
      place.isCutOff = true;
      for (const line of place.lines) isHeld ? line.hold("up", "down") : line.cut();
      await run.elsewhere(place);
      await moment(between(random, 0, 3_000));
      for (const line of place.lines) { if (isHeld && random.next() < 0.5) line.cut(); line.mend(); }
      place.isCutOff = false;
      await run.rejoins(place);
    }),
  },
  { name: "node leaves, and comes", target: "node", weight: 2, run: (run, random) => withNode(run, random, (place) => run.leaves(place, between(random, 0, 3_000))) },
];

const serverStopped: Fault<ClusterChaosRun> = {
  name: "server stopped", target: "server", weight: 3,
  async run({ world }, random) {
    const server = oneOf(random, world.servers);
    await server.stop();
    await moment(between(random, 0, 3_000));
    await server.restart();
  },
};

/** What operators do. */
const orders: readonly Fault<ClusterChaosRun>[] = [
  { name: "scale", target: "change", weight: 8, run: async (run, random) => void (await run.ordered("scale", ...(await target(run, random)))) },
  {
    name: "scale, leader killed", target: "change", weight: 5,
    async run(run, random) {
      const { code } = await run.ordered("scale", ...(await target(run, random)), "--no-wait");
      if (code !== 0) return;
      await leaderDies(run, random);
      await run.changed();
    },
  },
  {
    name: "scale, taken back", target: "change", weight: 2,
    async run(run, random) {
      const [stage, count] = await target(run, random), { code } = await run.ordered("scale", stage, count, "--no-wait");
      if (code !== 0) return;
      await moment(between(random, 0, 500));
      await run.ordered("scale", stage, "--take-back");
    },
  },
  { name: "deploy", target: "change", weight: 4, run: (run, random) => run.deploys(random.next() < 0.5) },
  {
    name: "deploy, leader killed", target: "change", weight: 2,
    async run(run, random) {
      await run.deploys(random.next() < 0.5, "--no-wait");
      await leaderDies(run, random);
      await run.changed();
    },
  },
  {
    name: "deploy --canary", target: "change", weight: 3,
    async run(run, random) {
      await run.deploys(random.next() < 0.3, "--canary", `${oneOf(random, scaled)}:1`);
      await moment(between(random, 0, 2_000));
      await run.ordered("deploy", run.world.options.flow.name, "--timeout", "60s", random.next() < 0.5 ? "--continue" : "--back");
    },
  },
  {
    name: "move", target: "place", weight: 5,
    async run(run, random) {
      const { flow } = run.world.options, placed = (await askPlacement(await run.world.broker()).catch(() => undefined))?.flows.find(({ name }) => name === flow.name);
      const [actor, at] = oneOf(random, Object.entries(placed?.actors ?? { [`${flow.name}/tally/0`]: null })), to = oneOf(random, run.world.places.filter(({ name }) => name !== at)).name;
      await run.ordered("move", actor, to, "--timeout", "60s");
      if (random.next() < 0.7) await run.ordered("move", actor, "--release");
    },
  },
  {
    name: "drain, and undo", target: "place", weight: 3,
    async run(run, random) {
      const { name } = oneOf(random, run.world.places);
      await run.ordered("drain", name, "--timeout", "60s");
      await moment(between(random, 0, 2_000));
      await run.ordered("drain", name, "--undo");
    },
  },
];

export const clusterFaults: readonly Fault<ClusterChaosRun>[] = [...resting(nodeRestMs, nodeFaults), ...resting(restMs, [serverStopped, ...groundFaults]), ...orders];
