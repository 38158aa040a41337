// What may be wrong with a flow, for JavaScript and for what types cannot say. All of it is collected, in the order of the
// declarations, and thrown as one error: an author mends a flow once.
import type { Problem } from "../event/errors.ts";
import { locationOf } from "./call-site.ts";
import { isPromise, shown, sortOf } from "./display.ts";
import type { FlowDraft, StageDraft, SubflowDraft } from "./draft.ts";
import { sunkBy, waysOf } from "./handle.ts";
import { camelCase, isName } from "./name.ts";
import { checkOptions, flowTable, isFunction, type Report } from "./option-table.ts";
import { checkStage, reporter, thingOf } from "./stage-check.ts";

const namingRule = "use 1 to 64 of a–z, 0–9 and -, a letter first";

/** All that is wrong. `build` and `returned` are the builder and what it returned; `thrown` that it did not get that far. */
export function problemsOf(draft: FlowDraft, build: unknown, returned: unknown, thrown: boolean): readonly Problem[] {
  const problems: Problem[] = [];
  const address = addressOf(draft);
  const flow = reporter(problems, address, draft.site);
  const flowName = shown(draft.name);
  if (!isName(draft.name)) flow("NAME_INVALID", `${flowName} is no name for a flow`, namingRule);
  checkOptions(draft.options, flowTable, `flow ${flowName}`, `flow ${flowName}`, flow);
  const isAsync = isPromise(returned);
  if (!isFunction(build)) flow("OPTION_INVALID", `the builder of flow ${flowName} is ${sortOf(build)}`, "give a function, (flow) => { … }");
  else if (isAsync) flow("FLOW_ASYNC", "the builder is async", "await before defineFlow, and use in the builder what came of it");
  else if (!thrown && !draft.stages.some((stage) => stage.kind === "source")) flow("SOURCE_MISSING", "the flow has no source", "begin it with flow.source(…)");

  for (const subflow of draft.subflows) {
    const report = reporter(problems, `${address}/${subflow.name}`, subflow.site);
    checkName(subflow.outer, subflow.given, subflow.name, "sub-flow", report);
  }
  const declared = byName(draft.stages);
  for (const stage of draft.stages) {
    const report = reporter(problems, `${address}/${stage.name}`, stage.site);
    checkName(stage.subflow, stage.given, stage.name, stage.kind === "processor" ? "stage" : stage.kind, report);
    const same = declared.get(stage.name) as StageDraft[];
    if (same.length > 1 && same[0] === stage && typeof stage.given === "string") {
      const places = same.map((other) => locationOf(other.site)).filter((at) => at !== undefined);
      report("NAME_TAKEN", `${same.length === 2 ? "two" : same.length} stages are named ${JSON.stringify(stage.name)}${places.length > 0 ? ` (${places.join(", ")})` : ""}`,
        same.length === 2 ? "rename one" : "give each a name of its own");
    }
    checkStage(stage, report);
  }
  if (!isAsync && !thrown && returned !== undefined) checkShown(draft, returned, declared, problems);
  return problems;
}

function addressOf(draft: FlowDraft): string {
  return typeof draft.name === "string" ? draft.name : shown(draft.name);
}

/** Of a name in a sub-flow that is wrongly named itself only what was given is judged: one mistake is told once. */
function checkName(subflow: SubflowDraft | undefined, given: unknown, full: string, thing: string, report: Report): void {
  const name = typeof given !== "string" || (subflow && !isName(subflow.name)) ? given : full;
  if (!isName(name)) report("NAME_INVALID", `${shown(name)} is no name for a ${thing}`, namingRule);
}

function byName(stages: readonly StageDraft[]): ReadonlyMap<string, StageDraft[]> {
  const found = new Map<string, StageDraft[]>();
  for (const stage of stages) {
    const same = found.get(stage.name);
    if (same) same.push(stage);
    else found.set(stage.name, [stage]);
  }
  return found;
}

/** What the builder returned: handles of its stages, each under its stage's own name, in kebab or camel case. */
function checkShown(draft: FlowDraft, returned: unknown, declared: ReadonlyMap<string, readonly StageDraft[]>, problems: Problem[]): void {
  const report = reporter(problems, addressOf(draft), draft.site);
  const itself = stageShown(returned);
  if (itself) return report("NAME_SHOWN", `the builder returned ${thingOf(itself)} itself`, `return { ${property(camelCase(itself.name))} }`);
  if (typeof returned !== "object" || returned === null || Array.isArray(returned) || waysOf(returned)) {
    return report("NAME_SHOWN", `the builder returned ${sortOf(returned)}`, "return the stages to show, such as { feed }, or nothing");
  }
  for (const [name, handle] of Object.entries(returned)) {
    const stage = stageShown(handle);
    if (!stage) checkHandle(name, handle, problems, draft);
    else if (stage.flow !== draft) report("STREAM_FOREIGN", `flow ${shown(draft.name)} returns ${thingOf(stage)} of flow ${shown(stage.flow.name)}`, "return it from that one");
    // A name that is another stage's own would stand for that one.
    else if (name !== stage.name && (name !== camelCase(stage.name) || declared.has(name))) {
      const camel = camelCase(stage.name);
      reporter(problems, `${addressOf(draft)}/${stage.name}`, stage.site)("NAME_SHOWN",
        `${thingOf(stage)} is returned as ${JSON.stringify(name)}`, `return it as ${declared.has(camel) && camel !== stage.name ? JSON.stringify(stage.name) : property(camel)}`);
    }
  }
}

/** Something that is returned and is no stage: an output, a merge, a stream by key, or nothing of ours. */
function checkHandle(name: string, handle: unknown, problems: Problem[], draft: FlowDraft): void {
  const report = reporter(problems, addressOf(draft), draft.site);
  const ways = waysOf(handle);
  const stages = [...new Set(ways?.flatMap((way) => (way.stage ? [way.stage.name] : [])))];
  const first = ways?.[0];
  const instead = `return ${stages.map((stage) => property(camelCase(stage))).join(", ")}`;
  if (!ways || stages.length === 0) report("NAME_SHOWN", `${JSON.stringify(name)} is returned and is ${sortOf(handle)}, no stage`, "return what flow.source(…), flow.processor(…) or flow.sink(…) gave");
  else if (ways.length > 1) report("NAME_SHOWN", `${JSON.stringify(name)} is a merge of ${stages.map((stage) => JSON.stringify(stage)).join(" and ")}`, instead);
  else if (first?.stage && first.key) report("NAME_SHOWN", `${JSON.stringify(name)} is ${JSON.stringify(stages[0])} taken by key, no stage`, instead);
  else if (first?.stage) report("NAME_SHOWN", `${JSON.stringify(name)} is an output of ${JSON.stringify(stages[0])}`, instead);
}

/** The stage whose own handle this is. */
function stageShown(handle: unknown): StageDraft | undefined {
  const ways = waysOf(handle);
  const way = ways?.length === 1 ? ways[0] : undefined;
  return way?.stage && way.output === "" && !way.key ? way.stage : sunkBy(handle);
}

const property = (name: string): string => (/^[a-z][A-Za-z0-9]*$/.test(name) ? name : JSON.stringify(name));
