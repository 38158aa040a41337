// What `millrace deploy` does about a flow that runs with another code: its actors go over one by one. Watches, and tells what it has come to.
import { setTimeout as pause } from "node:timers/promises";
import type { Broker } from "../broker/broker.ts";
import type { Canary } from "../cluster/upgrade.ts";
import type { Deployed } from "../deploy/manifest.ts";
import { MillraceError } from "../event/errors.ts";
import { fingerprintOf } from "../flow/fingerprint.ts";
import type { FlowPlan } from "../flow/plan.ts";
import type { DeployOrder } from "../inspect/deployment-orders.ts";
import { begunAt, migrationsUnderWay, offerCode, offeredWithin, orderUpgrade, orderWayBack, type RunningDeployment, upgradeReceipt, type UpgradeState, upgradeState, withdrawOffer } from "../inspect/upgrade-orders.ts";
import { type Migration, migrationsOf } from "../node/upgrade-check.ts";
import { exitCode } from "./exit-code.ts";
import { Interruption } from "./interruption.ts";
import { upgradeText } from "./move-table.ts";
import { durationOf } from "./number-option.ts";
import { StatusLine } from "./status-line.ts";
import { plain, type Terminal } from "./terminal.ts";
import { duration, listed, several } from "./words.ts";

export interface UpgradeFlags {
  readonly canary?: string;
  readonly wait: boolean;
  readonly timeout: string;
  readonly json?: true;
}

export interface Terminals {
  readonly out: Terminal;
  readonly err: Terminal;
}

const lookMs = 100;
/** Nodes may take a minute to load it. */
const loadMs = 75_000;

/** A new code for a flow that runs. Gives the exit code. @throws MillraceError as offerCode and orderUpgrade do, UPGRADE_NOT_LOADED, UPGRADE_HELD */
export async function upgrade(broker: Broker, running: RunningDeployment, order: DeployOrder, flags: UpgradeFlags, terminals: Terminals): Promise<number> {
  const { plan: { name } } = order, canary = canaryOf(order.plan, flags.canary), { out, err } = terminals, say = (line: string): void => { if (flags.json !== true) err.write(line); };
  const offered = await offerCode(broker, running, order), { hash } = offered.manifest, { upgrade: before } = running.placed;
  if (before?.to === hash && before.is === "held") throw new MillraceError("UPGRADE_HELD", name, `The upgrade of flow "${name}" to this code is held`, `Go on with \`millrace deploy --continue ${name}\`, or return with \`millrace deploy --back ${name}\`.`);
  say(`${name}: ${running.deployed.manifest.hash.slice(0, 12)} -> ${hash.slice(0, 12)}, signed by ${offered.key}`);
  if (before?.to !== hash) await load(broker, offered, say, err);
  const since = await orderUpgrade(broker, name, hash, canary);
  for (const line of oneWay(migrationsOf(running.run, fingerprintOf(order.plan)))) say(line);
  if (!flags.wait) {
    out.write(flags.json === true ? JSON.stringify({ flow: name, hash, is: "under way", since }) : "Ordered: actors go over one by one, whoever watches; `millrace flows` tells.");
    return exitCode.fine;
  }
  return await watched(broker, { name, to: hash, isBack: false, since, counted: before?.to === hash ? before.since : since }, flags, terminals);
}

/** What `--continue` and `--back` do. @throws MillraceError NOTHING_TO_DO, as orderUpgrade and orderWayBack do */
export async function goOn(broker: Broker, name: string, back: boolean, flags: UpgradeFlags, terminals: Terminals): Promise<number> {
  const { to, code } = (await upgradeState(broker, name, undefined, 0)) ?? {}, begun = await begunAt(broker, name);
  if (begun === undefined || to === undefined || to === null || code === undefined) throw new MillraceError("NOTHING_TO_DO", name, `Flow "${name}" is not being upgraded`, "`millrace deploy <file>` begins an upgrade; `millrace flows` tells what runs.");
  const since = back ? await orderWayBack(broker, name) : await orderUpgrade(broker, name, to, null);
  if (!flags.wait) {
    terminals.out.write(flags.json === true ? JSON.stringify({ flow: name, hash: back ? code : to, is: "under way", since }) : "Ordered: actors go over one by one, whoever watches; `millrace flows` tells.");
    return exitCode.fine;
  }
  return await watched(broker, { name, to, isBack: back, since, counted: back ? since : begun }, flags, terminals);
}

/** Such as "2" or "by-region:2": of that stage, else of the processor that is nearest to the ends. @throws MillraceError OPTION_INVALID */
export function canaryOf({ stages }: FlowPlan, text: string | undefined): Canary | null {
  if (text === undefined) return null;
  const [, named, number] = /^(?:([^:]+):)?(\d+)$/.exec(text) ?? [], stage = named ?? (stages.findLast(({ kind }) => kind === "processor") ?? stages.at(-1))?.name;
  if (number === undefined || stage === undefined || Number(number) < 1) throw new MillraceError("OPTION_INVALID", "--canary", `--canary is ${JSON.stringify(text)}`, "Give how many actors go over first, such as 1, or of which stage, such as by-region:2.");
  return { stage, count: Number(number) };
}

async function load(broker: Broker, offered: Deployed, say: (line: string) => void, err: Terminal): Promise<void> {
  const { loaded, lacking, refusals } = await offeredWithin(broker, offered, loadMs), { name } = offered.manifest;
  for (const { node, code, message, remedy } of refusals) say(`${err.colors.red("refused")} by ${node}: ${plain(message)} (${code})\n  ${err.colors.dim("do")}  ${plain(remedy)}`);
  if (lacking.length === 0) return say(`Loaded on ${listed(loaded)}.`);
  await withdrawOffer(broker, offered);
  const [first] = refusals;
  throw new MillraceError("UPGRADE_NOT_LOADED", name, `${listed(lacking)} ${lacking.length === 1 ? "has" : "have"} actors of flow "${name}", and ${first === undefined ? "did not load the new code in time" : `cannot load the new code: ${first.message} (${first.code})`}; nothing was changed`, first?.remedy ?? "See that the nodes answer (`millrace nodes`), then deploy again.");
}

function oneWay(migrations: readonly Migration[]): readonly string[] {
  return migrations.map(({ stage, from, to }) => `State of stage ${stage} goes from version ${from} to ${to}: for actors of it that went over there is no way back.`);
}

interface Watched {
  readonly name: string;
  /** The code that they go over to, or return from. */
  readonly to: string;
  readonly isBack: boolean;
  /** The record of the order, and the one from which on what it cost counts. */
  readonly since: number;
  readonly counted: number;
}

async function watched(broker: Broker, of: Watched, flags: UpgradeFlags, { out, err }: Terminals): Promise<number> {
  const interruption = new Interruption(() => {}), line = flags.json === true ? undefined : new StatusLine(err);
  try {
    const look = (): Promise<UpgradeState | undefined> => upgradeState(broker, of.name, of.to, of.since);
    const state = await Promise.race([followed(look, of.name, performance.now() + durationOf("--timeout", flags.timeout), line), interruption.first.then(() => undefined)]);
    line?.close();
    if (state === undefined) {
      if (line !== undefined) err.write("Not watched any more: it goes on by itself. The same command watches on; `millrace deploy --back` lets those that went over return.");
      return exitCode.interrupted;
    }
    const receipt = await upgradeReceipt(broker, of.name, of.counted - 1), migrations = state.is === "canary" || state.is === "failed" ? await migrationsUnderWay(broker, of.name) : [];
    if (flags.json === true) out.write(JSON.stringify({ flow: of.name, hash: of.isBack ? state.code : of.to, ...state, oneWay: migrations, ...receipt, actors: state.actors, costs: receipt.actors }));
    else out.write([endOf(of, state, migrations), ...(receipt.moved === 0 ? [] : [upgradeText(receipt, out)])].join("\n"));
    return state.is === (of.isBack ? "back" : "upgraded") || state.is === "canary" ? exitCode.fine : exitCode.failed;
  } finally {
    line?.close();
    interruption.close();
  }
}

/** Until it is under way no more; or until then. `line`: tells meanwhile how far it is. @throws MillraceError FLOW_UNKNOWN, and what `look` throws */
export async function followed(look: () => Promise<UpgradeState | undefined>, name: string, until: number, line: Pick<StatusLine, "show"> | undefined): Promise<UpgradeState> {
  for (;;) {
    const state = await look(), now = performance.now();
    if (state === undefined) throw new MillraceError("FLOW_UNKNOWN", name, `No flow "${name}" is placed any more`, "`millrace flows` tells what runs.");
    if (state.is !== "under way" || now > until) return state;
    line?.show(`${name}: ${state.over.length} of ${several(state.actors, "actor")} ${state.over.length === 1 ? "has" : "have"} another code than ${state.code.slice(0, 12)}${state.waits === null ? "" : `; ${state.waits}`}`, `watched for ${duration(until - now)} more at most`);
    await pause(lookMs);
  }
}

function endOf({ name, to }: Watched, { is, over, actors, failed, code, waits }: UpgradeState, migrations: readonly Migration[]): string {
  const back = migrations.filter(({ stage }) => over.some((actor) => actor.split("/")[1] === stage)), way = back.length === 0 ? `\`millrace deploy --back ${name}\` lets those that went over return` : `there is no way back, since state of ${listed(back.map(({ stage, from, to: now }) => `${stage} went from version ${from} to ${now}`))}`;
  if (is === "upgraded") return `All ${several(actors, "actor")} of ${name} have code ${to.slice(0, 12)}.`;
  if (is === "back") return `All ${several(actors, "actor")} of ${name} have code ${code.slice(0, 12)} again.`;
  if (is === "ended") return `${name} has ended meanwhile, or was undeployed; \`millrace flows\` tells.`;
  if (is === "canary") return `${several(over.length, "actor")} of ${actors} ${over.length === 1 ? "has" : "have"} the new code, and it stays so: ${listed(over)}.\n\`millrace deploy --continue ${name}\` lets the others follow; ${way}.`;
  if (is === "failed") return `Held: ${failed?.actor} does not go on with that code: ${plain(failed?.message ?? "")} (${failed?.code}).\nNothing is lost: its events wait, the others go on. ${over.length} of ${several(actors, "actor")} have it. ${way[0]?.toUpperCase()}${way.slice(1)}; \`millrace deploy --continue ${name}\` tries again; or deploy code that is mended.`;
  return `Not done yet: ${over.length} of ${several(actors, "actor")} have another code than ${code.slice(0, 12)}${waits === null ? "" : `; ${waits}`}. It goes on by itself; the same command watches on.`;
}
