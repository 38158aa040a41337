// A node that answers what is asked about it: the one that programs and the command line start.
import type { NodeOptions } from "../node/options.ts";
import { type NodeWatch, type RunningNode, startNode as startBareNode } from "../node/node.ts";
import { Lags } from "./lag.ts";
import { carryOut } from "./letter-orders.ts";
import { reportOn } from "./report.ts";
import { carryOutScale, scalingOn } from "./scale-orders.ts";

/**
 * Starts a node: takes its data folder, gets to NATS, and runs `flows` until they have ended or it is stopped. Resolves when their
 * runs are begun or resumed and their actors are being started; `done` tells the end.
 * @throws MillraceError OPTION_INVALID, FLOW_EXPECTED, FLOW_TWICE; DATA_FOLDER_BUSY while another node has the folder, DATA_FOLDER_INVALID;
 *   NATS_SERVER_MISSING and other NATS_…, UNREACHABLE; RUN_CHANGED, FLOW_RUNNING, FLOW_TAKEN, BROKER_WENT_BACK; what a source throws whose
 *   input is not there
 */
export async function startNode(options: NodeOptions = {}, watch: NodeWatch = {}): Promise<RunningNode> {
  const node = await startBareNode(options, watch), lags = new Lags();
  node.questions.answer("tree", (question) => reportOn(node, lags, question));
  node.orders.answer("letters", (order) => carryOut(node, order));
  node.orders.answer("scale", (order) => carryOutScale(node, order));
  node.questions.answer("scaling", (question) => scalingOn(node, question));
  node.takeOrders();
  return node;
}
