// What a program starts: a node, a broker. Loaded when it is called: a file that only defines flows, and imports "millrace" for
// that, does not load NATS, LevelDB and the rest.
import type { BrokerOptions } from "./node/broker-process.ts";
import type { Connection } from "./node/connection.ts";
import type { Node } from "./node/node.ts";
import type { NodeOptions } from "./node/options.ts";

/**
 * Starts a node: takes its data folder, gets to NATS, and runs `flows` until they have ended or it is stopped. Resolves when their
 * runs are begun or resumed and their actors are being started; `done` tells the end.
 *
 * @example
 * await using node = await startNode({ flows: [quakes] });
 * await node.done;
 *
 * @throws MillraceError OPTION_INVALID, FLOW_EXPECTED, FLOW_TWICE; DATA_FOLDER_BUSY while another node has the folder, DATA_FOLDER_INVALID;
 *   NATS_SERVER_MISSING and other NATS_…, UNREACHABLE; RUN_CHANGED, FLOW_RUNNING, FLOW_TAKEN, BROKER_WENT_BACK; what a source throws whose
 *   input is not there
 */
export async function startNode(options: NodeOptions = {}): Promise<Node> {
  return await (await import("./inspect/inspected-node.ts")).startNode(options);
}

/**
 * Starts a nats-server, found or fetched, on a free loopback port with credentials of its own. Dispose of it to end it; it ends with the
 * process, too.
 * @throws MillraceError DATA_FOLDER_BUSY, DATA_FOLDER_INVALID, NATS_SERVER_MISSING and other NATS_SERVER_…
 */
export async function startBroker(options: BrokerOptions = {}): Promise<Connection & AsyncDisposable> {
  return await (await import("./node/broker-process.ts")).startBroker(options);
}
