// The import rule, as a judge of source texts: which folder may import which, where a vendor's package may come in, how long a file may be.
import { posix } from "node:path";

/** Imports go one way: a folder imports itself and what stands before it. DESIGN.md section 8. */
export const layers = ["event", "flow", "broker", "journal", "actor", "supervision", "cluster", "deploy", "node", "repair", "backup", "inspect", "testing", "dashboard", "cli"] as const;

/** From here on a layer may choose an adapter, such as NATS or LevelDB; what is below knows the ports only. */
const firstThatJoins = "node";

/** The packages that stand behind a port or a core, each imported by one file of that folder. */
export const wrapped: Readonly<Record<string, string>> = { msgpackr: "runtime/event", xstate: "runtime/actor", level: "runtime/journal", nats: "runtime/broker", "@nats-io/transport-node": "runtime/broker", "nkeys.js": "runtime/deploy" };

/** Adapters: whoever imports such a file has chosen the vendor. The codec and the lifecycle chart are no choice. */
const chosen = ["level", "nats", "@nats-io/transport-node"];

export const maxLines = 320;
const vague = /^(utils?|helpers?|common|misc)$/;

export interface Breach {
  readonly file: string;
  readonly says: string;
}

/** All breaches in sources, given by their paths from the root of the project ("runtime/flow/flow.ts"). */
export function breaches(sources: ReadonlyMap<string, string>): readonly Breach[] {
  const found: Breach[] = [];
  const importers = new Map<string, string[]>();
  const adapters = new Set([...sources].filter(([, text]) => importsOf(text).some((name) => chosen.includes(packageOf(name) ?? ""))).map(([file]) => file));
  for (const [file, text] of sources) {
    const say = (says: string) => found.push({ file, says });
    const lines = text.split("\n").length - (text.endsWith("\n") ? 1 : 0);
    if (lines > maxLines) say(`has ${lines} lines, more than ${maxLines}: one concept, one file`);
    if (file.split("/").some((part) => vague.test(part.replace(/\.ts$/, "")))) say("is named for no concept");
    for (const name of importsOf(text)) {
      const vendor = packageOf(name);
      const reason = name.startsWith("node:") ? undefined : vendor === undefined ? faultOfPath(file, posix.join(posix.dirname(file), name), adapters) : faultOfVendor(file, vendor);
      if (reason !== undefined) say(`imports ${name}: ${reason}`);
      if (vendor !== undefined && vendor in wrapped && file.startsWith("runtime/")) importers.set(vendor, [...(importers.get(vendor) ?? []), file]);
    }
  }
  for (const [vendor, files] of importers) {
    if (files.length > 1) found.push({ file: files.join(", "), says: `${vendor} is imported by more than one file` });
  }
  return found;
}

function faultOfPath(file: string, target: string, adapters: ReadonlySet<string>): string | undefined {
  if (file.startsWith("actors/")) {
    return target.startsWith("actors/") || target === "runtime/index.ts" ? undefined : "actors know the runtime by runtime/index.ts only";
  }
  if (!target.startsWith("runtime/")) return "the runtime knows nothing outside itself";
  const [own, other] = [layerOf(file), layerOf(target)];
  if (own === undefined) return undefined;
  if (other === undefined) return "inside the runtime nobody imports its public face";
  if (rankOf(other) > rankOf(own)) return `${own} stands before ${other}`;
  if (own !== other && adapters.has(target) && rankOf(own) < rankOf(firstThatJoins)) return `${own} knows ports, and this file is an adapter`;
  return undefined;
}

function faultOfVendor(file: string, vendor: string): string | undefined {
  const home = wrapped[vendor];
  if (home !== undefined) return file.startsWith(`${home}/`) ? undefined : `${vendor} belongs to one file in ${home}`;
  const layer = layerOf(file);
  if (layer === undefined || rankOf(layer) >= rankOf(firstThatJoins)) return undefined;
  return `${layer} knows no vendor`;
}

/** The layer of a file in runtime/; none for its public face, and for files elsewhere. */
function layerOf(file: string): string | undefined {
  return /^runtime\/([^/]+)\//.exec(file)?.[1];
}

function rankOf(layer: string): number {
  const rank = layers.indexOf(layer as (typeof layers)[number]);
  return rank === -1 ? Number.POSITIVE_INFINITY : rank;
}

/** "@scope/name" or "name" of what is imported by name; none for paths and for Node's own. */
export function packageOf(name: string): string | undefined {
  if (name.startsWith(".") || name.startsWith("node:")) return undefined;
  return name.split("/").slice(0, name.startsWith("@") ? 2 : 1).join("/");
}

/** All that a text imports, types as well, statically or not. */
export function importsOf(text: string): readonly string[] {
  const code = text.replace(/^\s*(\/\/|\*|\/\*).*$/gm, "");
  const forms = [/^\s*(?:import|export)\b[^;"']*?\bfrom\s+["']([^"']+)/gm, /^\s*import\s+["']([^"']+)/gm, /\b(?:import|require)\(\s*["']([^"']+)/g];
  return [...new Set(forms.flatMap((form) => [...code.matchAll(form)].map((match) => match[1] as string)))];
}
