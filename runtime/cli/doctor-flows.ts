// What `doctor` looks at beyond this machine: the connection, the flows that a server holds, and what a flow's file promises.
import type { Broker } from "../broker/broker.ts";
import { compareVersions, isTested, testedRange, testedRangeText } from "../broker/nats-server/version.ts";
import { hashOf } from "../deploy/bundle-store.ts";
import { MillraceError } from "../event/errors.ts";
import { type FlowPlan, planOf } from "../flow/plan.ts";
import { type FlowHealth, flowsOn } from "../inspect/flow-health.ts";
import { guaranteesOf } from "../inspect/guarantee.ts";
import { askAll, type Asked } from "../inspect/inquiry.ts";
import { type Check, failed, type Finding } from "./doctor.ts";
import { lossesOn } from "./doctor-loss.ts";
import { loadFlow, packFlow } from "./flow-file.ts";
import { reachOrStart } from "./nats-options.ts";
import { count, listed, several } from "./words.ts";

const pings = 5;

export const checkNats: Check = async (flags) => {
  let broker: Broker;
  try {
    broker = await reachOrStart(flags, () => {});
  } catch (error) {
    if (error instanceof MillraceError && error.code === "NODE_MISSING") return [{ is: "ok", about: "nats", says: "no node runs on this data folder, and none has stored anything in it" }];
    return [failed("nats", error)];
  }
  try {
    const flows = await flowsOn(broker), nodes = await askAll(broker);
    return [await connectionOf(broker), ...nodes.map(nodeFinding), ...flows.map(flowFinding), ...(await lossesOn(broker, flags.dataDir, flows.map(({ flow }) => flow), nodes))];
  } catch (error) {
    return [failed("nats", error)];
  } finally {
    await broker.close();
  }
};

async function connectionOf(broker: Broker): Promise<Finding> {
  const times: number[] = [];
  for (let at = 0; at < pings; at++) {
    const begun = performance.now();
    await broker.keys.get("doctor");
    times.push(performance.now() - begun);
  }
  const says = `nats-server ${broker.version} answers in ${Math.min(...times).toFixed(1)} ms, messages up to ${count(broker.maxPayload / 1024)} KiB`;
  if (isTested(broker.version)) return { is: "ok", about: "nats", says };
  const older = compareVersions(broker.version, testedRange.from) < 0;
  return { is: older ? "fail" : "warn", about: "nats", says: `${says}; it is not in the tested range ${testedRangeText}`, remedy: older ? "Take a newer one." : "It may work; nobody has tried." };
}

function nodeFinding({ node, report, failure }: Asked): Finding {
  return report?.nats.fault !== undefined
    ? { is: "fail", about: "node", says: `${node}: ${report.nats.fault.message} (${report.nats.fault.code})`, remedy: report.nats.fault.remedy }
    : report === undefined ? { is: "warn", about: "node", says: `${node} does not answer: ${failure?.message ?? ""}`, remedy: "It was killed, or is cut off. The next node that starts forgets it." }
    : { is: "ok", about: "node", says: `${node} runs ${report.flows.length === 0 ? "no flow" : listed(report.flows.map(({ name }) => name))}` };
}

function flowFinding({ flow, run, streams, missing, failure }: FlowHealth): Finding {
  const about = "flow", told = `${flow}: ${several(streams, "stream")}`;
  if (run === undefined) return { is: "warn", about, says: `${told}, ${failure ?? "no run"}`, remedy: `Start it anew with --fresh, or delete the streams mr_actor_${flow}_*.` };
  if (missing.length > 0) return { is: "fail", about, says: `${told}, run ${run.token} is ${run.state} and ${several(missing.length, "log")} of it ${missing.length === 1 ? "is" : "are"} gone: ${listed(missing, 2)}`, remedy: "The server lost what it had acknowledged: millrace repair makes them again from the journals; else bring its store back, or begin a new run with --fresh." };
  return { is: "ok", about, says: `${told}, run ${run.token} ${states[run.state]}` };
}

const states = { preparing: "was being prepared", running: "runs, or was interrupted by a kill", stopped: "was stopped and goes on with the next start", finished: "has finished" } as const;

export const checkFlow: Check = async ({ flow = "", dataDir }) => {
  const loaded = await loadFlow(flow, dataDir), plan = planOf(loaded.flow) as FlowPlan;
  const shape: Finding = { is: "ok", about: "flow", says: `${plan.name}: ${several(plan.stages.length, "stage")}, ${several(plan.stages.reduce((sum, { parallelism }) => sum + parallelism, 0), "actor")}` };
  const inputs: Finding[] = [];
  for (const stage of plan.stages) {
    if (stage.kind !== "source" || stage.source.guarantee !== "replayable" || stage.source.fingerprint === undefined) continue;
    inputs.push(await stage.source.fingerprint().then((): Finding => ({ is: "ok", about: "flow", says: `source ${stage.name} (${stage.source.kind}) is there and can be read` }), (error: unknown) => failed("flow", error)));
  }
  const paths = guaranteesOf(plan).map(({ source, sink, promise, because }): Finding => because === undefined
    ? { is: "ok", about: "flow", says: `${source} → ${sink}: ${promise}` }
    : { is: "warn", about: "flow", says: `${source} → ${sink}: ${promise}, since ${because}`, remedy: promise === "may lose" ? "Take a source that acknowledges, where that matters." : "Take a transactional or idempotent sink, where that matters." });
  return [shape, await codeOf(flow, plan.name, loaded.hash), ...inputs, ...paths];
};

/** The code that is deployed has packages in it, the other names them: two codes of one file, each named where it is used. */
async function codeOf(path: string, name: string, run: string): Promise<Finding> {
  const about = "flow";
  try {
    const deployed = hashOf(await packFlow(path));
    return { is: "ok", about, says: `${name}: its code is ${run.slice(0, 12)} to run, up and node --flow, ${deployed.slice(0, 12)} to deploy, which packs its packages with it` };
  } catch (thrown) {
    const { is: _, ...why } = failed(about, thrown);
    return { is: "warn", ...why, says: `${name}: its code is ${run.slice(0, 12)} to run, up and node --flow; it cannot be deployed: ${why.says}` };
  }
}
