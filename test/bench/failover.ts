// What a move costs where there is much state: eight partitions with a hundred thousand keys each on three nodes, fsync before each ack, default
// settings. First a node is drained: how long each actor paused. Then one is killed: how long until each of its partitions has handled an event
// elsewhere.
import { askTree } from "../../runtime/inspect/inquiry.ts";
import { placementOn } from "../../runtime/inspect/placement-report.ts";
import type { MoveReceipt } from "../../runtime/node/move-receipt.ts";
import { eventually } from "../support/waiting.ts";
import { nodeNames, withThreeNodes } from "./three-nodes.ts";

const partitions = 8;

export interface Failover {
  readonly keysEach: number;
  /** Of each actor that was moved in order, in ms, the shortest first. */
  readonly pausesMs: readonly number[];
  readonly lost: number;
  readonly killed: { readonly leader: boolean; readonly partitions: number };
  /** From the kill on, in s: all have another node; the first has claimed its log; each has handled an event, the first first. */
  readonly placedS: number;
  readonly claimedS: number;
  readonly atWorkS: readonly number[];
}

/** `leader`: that one is killed. `standby`: so many warm copies of each partition. `keysEach`: of a partition. */
export function failover({ leader: isLeader, standby = 0, keysEach }: { readonly leader: boolean; readonly standby?: 0 | 1; readonly keysEach: number }): Promise<Failover> {
  const isCounting = ({ actor }: { readonly actor: string }): boolean => actor.startsWith("keyed/counts/");
  return withThreeNodes({ partitions, keys: keysEach * partitions, standby }, async ({ broker, nodes, placed, newest, millrace }) => {
    const { leader } = await placementOn(broker), actors = await placed(), source = actors.find(({ actor }) => actor === "keyed/numbers/0")?.node;
    const drained = nodeNames.find((name) => name !== leader && name !== source) as string;
    const receipt = JSON.parse(await millrace("drain", drained, "--json")) as MoveReceipt;
    await millrace("drain", drained, "--undo");
    const victim = isLeader ? (leader as string) : drained;
    // What is placed on a node may be with the one before it for a while: actors move one by one.
    const its = await eventually("it has its share again, and runs it", async () => {
      const share = (await placed()).filter((one) => isCounting(one) && one.node === victim).map(({ actor }) => actor), { lines } = await askTree(broker, victim);
      const runs = new Set(lines.filter(({ kind, state }) => kind === "actor" && state.startsWith("running")).map(({ id }) => id));
      return share.length >= 2 && share.every((actor) => runs.has(actor)) && share;
    }, 60_000);
    const terms = new Map<string, number>(), seconds = new Map<string, number>();
    await eventually("they are at work where they are", async () => (await Promise.all(its.map((actor) => newest(actor)))).every(({ handled }) => handled), 30_000);
    const killed = performance.now();
    nodes.get(victim)?.child.kill("SIGKILL");
    for (const actor of its) terms.set(actor, (await newest(actor)).term);
    let placedS = Infinity, claimedS = Infinity;
    const after = (): number => Number(((performance.now() - killed) / 1_000).toFixed(2));
    await eventually("all are at work again", async () => {
      if (placedS === Infinity && (await placed()).every(({ node }) => node !== victim)) placedS = after();
      for (const actor of its) {
        if (seconds.has(actor)) continue;
        const { term, handled } = await newest(actor);
        if (term > (terms.get(actor) as number)) claimedS = Math.min(claimedS, after());
        if (handled && term > (terms.get(actor) as number)) seconds.set(actor, after());
      }
      return seconds.size === its.length;
    }, 60_000);
    return {
      keysEach, pausesMs: receipt.actors.filter(isCounting).map(({ pauseMs }) => pauseMs).sort((a, b) => a - b), lost: receipt.lost,
      killed: { leader: victim === leader, partitions: its.length }, placedS, claimedS, atWorkS: [...seconds.values()].sort((a, b) => a - b),
    };
  });
}
