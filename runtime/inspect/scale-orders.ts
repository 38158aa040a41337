// Scaling a stage, asked for from outside: an order to the node that leads it, and questions about what has come of it. Nothing is kept
// here: the plan stands under the flow's key, so who asked may go away.
import { setTimeout as pause } from "node:timers/promises";
import type { Broker } from "../broker/broker.ts";
import { MillraceError } from "../event/errors.ts";
import { readNodes } from "../node/membership.ts";
import type { RunningNode } from "../node/node.ts";
import { ask, operateSubject, type Question } from "../node/questions.ts";
import { errorOf, type Refusal, refusalOf } from "../node/refusal.ts";
import type { FlowScaling, ScaleStatus } from "../node/scaling.ts";
import { askPlacement } from "./placement-orders.ts";

export type ScaleAnswer = { readonly status: ScaleStatus } | Refusal;

export type ScaleOrder = { readonly action: "begin"; readonly flow: string; readonly stage: string; readonly count: number } | { readonly action: "take back"; readonly flow: string };

const answerMs = 15_000;

// ── on the node

/** `null`: of a flow that is not here. */
export async function carryOutScale(node: RunningNode, { flow, action, stage, count }: Question): Promise<ScaleAnswer | null> {
  return await answered(node, flow, async (scaling) => {
    if (action === "take back") return await scaling.takeBack();
    if (action !== "begin" || typeof stage !== "string" || typeof count !== "number") throw new MillraceError("QUESTION_UNKNOWN", node.name, "an order to scale names action, flow, stage and count", "Ask with the millrace of the same version.");
    await scaling.begin(stage, count);
  });
}

export async function scalingOn(node: RunningNode, { flow }: Question): Promise<ScaleAnswer | null> {
  return await answered(node, flow, async () => {});
}

async function answered(node: RunningNode, flow: unknown, order: (scaling: FlowScaling) => Promise<void>): Promise<ScaleAnswer | null> {
  const scaling = typeof flow === "string" ? node.scalings.get(flow) : undefined;
  if (scaling === undefined) return null;
  try {
    await order(scaling);
  } catch (error) {
    return refusalOf(error);
  }
  return { status: scaling.status };
}

// ── from outside

/** Another node leads after so long at most, where the one that did was killed. In ms. */
const patienceMs = 15_000, againMs = 250;

/** @throws MillraceError what the node refuses with, NOT_RUNNING, UNREACHABLE */
export async function orderScale(broker: Broker, order: ScaleOrder): Promise<ScaleStatus> {
  let tried = 0;
  try {
    return await asked(broker, order.flow, (node) => {
      tried++;
      return ask(broker, node, { what: "scale", ...order }, answerMs, operateSubject(node));
    });
  } catch (error) {
    // A node that was killed may have planned it before.
    if (tried < 2 || order.action !== "begin" || !(error instanceof MillraceError) || (error.code !== "SCALE_UNDER_WAY" && error.code !== "NOTHING_TO_DO")) throw error;
    const status = await askScaling(broker, order.flow), { change, counts } = status;
    if (change === null ? counts[order.stage] !== order.count : change.stage !== order.stage || change.to !== order.count) throw error;
    return status;
  }
}

/** @throws MillraceError NOT_RUNNING, UNREACHABLE */
export function askScaling(broker: Broker, flow: string): Promise<ScaleStatus> {
  return asked(broker, flow, (node) => ask(broker, node, { what: "scaling", flow }, answerMs));
}

async function asked(broker: Broker, flow: string, question: (node: string) => Promise<unknown>): Promise<ScaleStatus> {
  for (const until = performance.now() + patienceMs; ; await pause(againMs)) {
    const found = await askedOnce(broker, flow, question);
    if (!(found instanceof MillraceError)) return found;
    if (performance.now() > until || !(await isPlaced(broker, flow))) throw found;
  }
}

/** The error: nobody has it. @throws MillraceError what the node refuses with */
async function askedOnce(broker: Broker, flow: string, question: (node: string) => Promise<unknown>): Promise<ScaleStatus | MillraceError> {
  let failure: MillraceError | undefined;
  for (const { name } of await readNodes(broker.keys)) {
    try {
      const answer = (await question(name)) as ScaleAnswer | null;
      if (answer === null) continue;
      if ("status" in answer) return answer.status;
      throw errorOf(answer);
    } catch (error) {
      // A node that was killed stays in the list until the next one comes.
      if (!(error instanceof MillraceError) || (error.code !== "NOT_FOUND" && error.code !== "UNREACHABLE" && error.code !== "REQUEST_FAILED")) throw error;
      if (error.code !== "NOT_FOUND") failure ??= error;
    }
  }
  return failure ?? new MillraceError("NOT_RUNNING", flow, `No node runs flow "${flow}", and a stage is scaled while it runs`, "Start it with `millrace run`, `millrace up` or on nodes; for a new run, --set changes its parallelism.");
}

/** Whether a cluster runs it: then some node is to lead it in a moment. */
async function isPlaced(broker: Broker, flow: string): Promise<boolean> {
  try {
    return (await askPlacement(broker)).flows.some(({ name, ended }) => name === flow && !ended);
  } catch (error) {
    if (error instanceof MillraceError && (error.code === "NO_CLUSTER" || error.code === "UNREACHABLE")) return false;
    throw error;
  }
}
