// A node that leads may not have the code of a flow that was deployed: it does not trust who signed it. Then it has the run begun by a node
// that has; where the actors are is still its decision.
import type { Broker } from "../broker/broker.ts";
import type { StageSeats } from "../cluster/placement-record.ts";
import { asError, MillraceError } from "../event/errors.ts";
import type { RunningNode } from "./node.ts";
import { ask, operateSubject } from "./questions.ts";
import { errorOf, type Refusal, refusalOf } from "./refusal.ts";

export interface Begun {
  readonly token: string;
  readonly stages: readonly StageSeats[];
}

/** Looking at inputs and making streams may take so long, in ms. */
const beginMs = 60_000;

/** @throws MillraceError what the node refuses with, UNREACHABLE */
export async function askToBegin(broker: Broker, node: string, flow: string, code: string): Promise<Begun> {
  let answer: Begun | Refusal;
  try {
    answer = (await ask(broker, node, { what: "begin", flow, code }, beginMs, operateSubject(node))) as Begun | Refusal;
  } catch (thrown) {
    // Whoever it is, it is asked again, or another one is.
    throw new MillraceError("UNREACHABLE", node, `Node ${node} was asked to begin a run of ${flow}, and gave no answer: ${asError(thrown).message}`, "It is asked again in a moment.", { cause: thrown });
  }
  if ("refused" in answer) throw errorOf(answer);
  return answer;
}

/** `begin`: tells the node itself, too, where it cannot be. */
export function answerBegin(node: RunningNode, begin: (flow: string, code: string) => Promise<Begun>): void {
  node.orders.answer("begin", async ({ flow, code }): Promise<Begun | Refusal> => {
    try {
      return await begin(String(flow), String(code));
    } catch (error) {
      return refusalOf(error);
    }
  });
}
