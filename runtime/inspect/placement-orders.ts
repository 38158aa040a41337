// Orders about the placement, asked for from outside, and what has come of them. The leader writes them into the cluster's log: that
// stands, so who asked may go away, and may ask for the same again.
import { setTimeout as pause } from "node:timers/promises";
import type { Broker } from "../broker/broker.ts";
import type { PlacementOrder } from "../cluster/placement-order.ts";
import { MillraceError } from "../event/errors.ts";
import { bounded } from "../node/bounded.ts";
import { readNodes } from "../node/membership.ts";
import type { Arrival } from "../node/move-ledger.ts";
import type { OrderAnswer, PlacementAnswer } from "../node/placement-questions.ts";
import { ask, operateSubject, type Question } from "../node/questions.ts";
import { errorOf } from "../node/refusal.ts";

const answerMs = 5_000;
const orderMs = 15_000;
const againMs = 250;
/** Another leader is there after so long at most, in ms. */
const patienceMs = 15_000;
const atOnce = 16;

/** Number of the record by which it stands. @throws MillraceError what the leader refuses with, NO_CLUSTER, UNREACHABLE */
export async function orderPlacement(broker: Broker, order: PlacementOrder): Promise<number> {
  for (let until = performance.now() + patienceMs, isUnknown = false; ; await pause(againMs)) {
    try {
      const { leader } = await askPlacement(broker);
      if (leader === undefined) throw notLed();
      const answer = (await ask(broker, leader, { what: "place", ...order }, orderMs, operateSubject(leader))) as OrderAnswer;
      if ("since" in answer) return answer.since;
      throw errorOf(answer);
    } catch (error) {
      // What became of it was not told, and there is nothing left to do: it stands.
      if (isUnknown && error instanceof MillraceError && error.code === "NOTHING_TO_DO") return (await askPlacement(broker)).n;
      // The leader is gone, or another one leads now: the same order again is no other one.
      if (!(error instanceof MillraceError) || !["NOT_LEADER", "NOT_FOUND", "UNREACHABLE", "BUSY"].includes(error.code) || performance.now() > until) throw error;
      isUnknown ||= error.code === "UNREACHABLE";
    }
  }
}

/** As the leader knows it; where that does not answer, as another node does. @throws MillraceError NO_CLUSTER, UNREACHABLE */
export async function askPlacement(broker: Broker): Promise<PlacementAnswer> {
  let found: PlacementAnswer | undefined;
  for (const { name } of await readNodes(broker.keys)) {
    const answer = await placementOf(broker, name);
    if (answer === undefined) continue;
    found = answer;
    const { leader } = answer;
    if (leader === name) return answer;
    const led = leader === undefined ? undefined : await placementOf(broker, leader);
    if (led?.leader === leader && led !== undefined) return led;
  }
  if (found === undefined) throw notLed();
  return found;
}

/** The same for who watches: while NATS is away, or nobody of a cluster answers, it is asked again, for a while. @throws MillraceError NO_CLUSTER, UNREACHABLE */
export async function watchPlacement(broker: Broker, withinMs = patienceMs): Promise<PlacementAnswer> {
  for (const until = performance.now() + withinMs; ; await pause(againMs)) {
    try {
      return await askPlacement(broker);
    } catch (error) {
      if (!(error instanceof MillraceError) || !["NO_CLUSTER", "UNREACHABLE"].includes(error.code) || performance.now() > until) throw error;
    }
  }
}

/** What the nodes tell of actors that came by records after `since`; of one that does not answer, nothing. */
export async function askMoves(broker: Broker, nodes: readonly string[], since: number): Promise<ReadonlyMap<string, readonly Arrival[]>> {
  const arrivals = new Map<string, readonly Arrival[]>();
  await bounded(nodes, atOnce, async (node) => {
    const answer = await answered(broker, node, { what: "moves", since });
    if (Array.isArray(answer)) arrivals.set(node, answer as readonly Arrival[]);
  });
  return arrivals;
}

async function placementOf(broker: Broker, node: string): Promise<PlacementAnswer | undefined> {
  const answer = (await answered(broker, node, { what: "placement" })) as PlacementAnswer | undefined;
  return Array.isArray(answer?.flows) && Array.isArray(answer.nodes) ? answer : undefined;
}

/** `undefined`: a node that was killed and is still in the list, or that is of no cluster. */
async function answered(broker: Broker, node: string, question: Question): Promise<unknown> {
  try {
    return await ask(broker, node, question, answerMs);
  } catch (error) {
    if (error instanceof MillraceError && ["NOT_FOUND", "UNREACHABLE", "REQUEST_FAILED"].includes(error.code)) return undefined;
    throw error;
  }
}

function notLed(): MillraceError {
  return new MillraceError("NO_CLUSTER", "mr.cluster.log", "No node of a cluster answers", "Start nodes with `millrace node` or `millrace up`; a flow that runs on one node by `millrace run` is not placed.");
}
