// A node with the flows of loss-flows.ts, to be killed.
import { startNode } from "../../runtime/inspect/inspected-node.ts";
import { lossFlow, lossNames } from "./loss-flows.ts";
import { inSmallSteps } from "./small-steps.ts";

export interface LossLife {
  readonly folder: string;
  readonly rate: number;
  readonly nats: { readonly servers: string; readonly user: string; readonly pass: string; readonly sync: string };
}

const { folder, rate, nats } = JSON.parse(process.argv[2] as string) as LossLife;
inSmallSteps();
const node = await startNode({ dataDir: `${folder}/data`, nats: nats as never, flows: lossNames.map((name) => lossFlow(name, { folder, rate })) }, { warned: (line) => console.error(line) });
await node.done;
await node.stop();
