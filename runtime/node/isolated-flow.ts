// Whether, and how, stages of a flow can run in threads of their own.
import { resolve } from "node:path";
import { MillraceError } from "../event/errors.ts";
import type { FlowPlan } from "../flow/plan.ts";
import type { Connection } from "./connection.ts";
import type { Isolation } from "./isolated-actor.ts";

/**
 * `undefined` where no stage of the flow is isolated.
 * @throws MillraceError MODULE_MISSING: a thread shares no functions with this one, it must load them; CONNECTION_MISSING
 */
export function isolationOf(plan: FlowPlan, module: string | undefined, dataDir: string, connection: Connection | undefined): Isolation | undefined {
  const stage = plan.stages.find((its) => its.kind === "processor" && its.isolate === "worker");
  if (stage === undefined) return undefined;
  const where = `${plan.name}/${stage.name}`;
  if (module === undefined) throw new MillraceError("MODULE_MISSING", where, `Stage "${stage.name}" is to run in threads of its own, and it is not known from where they can load flow "${plan.name}"`, "Export the flow from a module and give it the option module: import.meta.url, or run its file with `millrace run`.");
  if (connection === undefined) throw new MillraceError("CONNECTION_MISSING", where, `Stage "${stage.name}" is to run in threads of its own, and this node's broker is in its memory`, "Leave isolate out, or use a NATS server.");
  return { module, dataDir: resolve(dataDir), connection };
}
