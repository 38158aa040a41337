// What `backup` and `restore` say of what is in a backup.
import type { FlowManifest, Manifest, SinkManifest } from "../backup/manifest.ts";
import { count } from "./words.ts";

/** Such as "commits   feed/0 1,204, sums/0 988". */
export function commitLines({ flow, actors }: FlowManifest): readonly string[] {
  const width = 100, lines: string[] = [];
  let line = "";
  for (const { actor, commit } of actors) {
    const word = `${actor.slice(flow.length + 1)} ${count(commit)}`;
    if (line !== "" && line.length + word.length + 2 > width) { lines.push(`${line},`); line = word; } else line = line === "" ? word : `${line}, ${word}`;
  }
  return [...lines, line].map((text, i) => `  ${i === 0 ? "commit" : "      "}  ${text}`);
}

/** None where the flow has no sink, or none has begun a batch. */
export function sinkLines({ sinks }: FlowManifest, title: string): readonly string[] {
  const needed = sinks.filter(({ batch }) => batch > 0);
  return needed.length === 0 ? [] : [`  ${title}`, ...needed.map((sink) => `    ${sink.actor}: ${needText(sink)}`)];
}

/** A file that is longer is written over from its mark on; what is then still too long parks the flow at its end (SINK_DIVERGED). */
function needText({ kind, batch, mark, target, generation }: SinkManifest): string {
  const { offset, generation: its = generation } = (mark ?? {}) as { offset?: unknown; generation?: string };
  if (typeof offset !== "number") return `${target ?? kind}, with batch ${count(batch)}${mark === null ? "" : `, mark ${JSON.stringify(mark)}`}`;
  const path = target ?? "<path>", file = `${target === undefined ? `its ${kind} file, ` : ""}${path}.${its} (${path} itself once the flow has ended)`;
  return `${file}, the first ${offset} bytes (batch ${count(batch)}); cut off what is behind them: truncate -s ${offset} FILE`;
}

export function backupJson(folder: string, { madeAt, server, flows }: Manifest): object {
  return {
    folder, madeAt, server,
    flows: flows.map(({ flow, run: { token, state }, actors, sinks, streams }) => ({
      flow, run: token, state, actors, sinks, streams: streams.length, messages: streams.reduce((sum, { first, last }) => sum + last - first + 1, 0), bytes: streams.reduce((sum, stream) => sum + stream.bytes, 0),
    })),
  };
}
