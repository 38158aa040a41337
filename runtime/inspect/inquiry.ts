// Asks the nodes of a NATS account about themselves.
import type { Broker } from "../broker/broker.ts";
import { asError, MillraceError } from "../event/errors.ts";
import { bounded } from "../node/bounded.ts";
import { readNodes } from "../node/membership.ts";
import { ask } from "../node/questions.ts";
import type { NodeReport, TreeLine } from "./report.ts";

export interface Asked {
  readonly node: string;
  /** All pages put together. */
  readonly report?: NodeReport;
  /** Why there is none. */
  readonly failure?: Error;
}

const answerMs = 5_000;
const atOnce = 16;
/** Pages of one node; a node with more has its tree cut off here. */
const mostPages = 200;

/** One for each node that is known, by name. @throws MillraceError NATS_PERMISSION; UNREACHABLE where NATS itself does not answer */
export async function askAll(broker: Broker): Promise<readonly Asked[]> {
  const nodes = await readNodes(broker.keys), asked: Asked[] = [];
  await bounded(nodes, atOnce, async ({ name }) => {
    try {
      asked.push({ node: name, report: await askTree(broker, name) });
    } catch (error) {
      if (error instanceof MillraceError && error.code === "NATS_PERMISSION") throw error;
      asked.push({ node: name, failure: asError(error) });
    }
  });
  return asked.sort((a, b) => (a.node < b.node ? -1 : 1));
}

/** @throws MillraceError NOT_FOUND, UNREACHABLE, REQUEST_FAILED */
export async function askTree(broker: Broker, node: string): Promise<NodeReport> {
  const lines: TreeLine[] = [];
  let report: NodeReport;
  let from: number | undefined = 0, pages = 0;
  do {
    const answer = (await ask(broker, node, { what: "tree", from }, answerMs)) as NodeReport | null;
    if (!Array.isArray(answer?.lines) || !Array.isArray(answer?.flows)) throw new MillraceError("REQUEST_FAILED", node, `What node ${node} answered is no tree`, "Ask with the millrace of the same version.");
    report = answer;
    lines.push(...report.lines);
    from = report.next;
  } while (from !== undefined && ++pages < mostPages);
  return { ...report, lines };
}
