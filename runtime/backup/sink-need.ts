// What sinks have written is not in NATS. For each of them: up to which batch its target must be there when the flow goes on from the backup.
import type { ActorCopy } from "./actor-copy.ts";
import type { SinkManifest } from "./manifest.ts";

/** `kinds`: by stage, such as "jsonl". `target`: where a stage writes, where that is known. */
export function sinksOf(copies: readonly ActorCopy[], kinds: ReadonlyMap<string, string>, target: (stage: string) => string | undefined): readonly SinkManifest[] {
  return copies.filter(({ kind }) => kind === "sink").flatMap(({ address, stage, partition, generation, history: { sink, targets } }) => {
    const need = (actor: string, its: number, batch: number, mark: unknown): SinkManifest => {
      const to = target(stage)?.replaceAll("{partition}", String(its));
      return { actor, kind: kinds.get(stage) ?? "", generation, batch, mark: asJson(mark), ...(to === undefined ? {} : { target: to }) };
    };
    // A batch that is not known to be written is put together and written again, at its place (P28).
    const own = need(address, partition, sink === undefined ? 0 : sink.written ? sink.number : sink.number - 1, sink?.mark);
    return [own, ...targets.map(([its, batch, mark]) => need(`${address.slice(0, address.lastIndexOf("/"))}/${its}`, its, batch, mark))];
  });
}

/** For people: whatever a mark is made of (the log has it as it is). */
function asJson(mark: unknown): unknown {
  const text = JSON.stringify(mark, (_, value: unknown) => (typeof value === "bigint" ? String(value) : value instanceof Uint8Array ? Buffer.from(value).toString("base64") : value instanceof Map || value instanceof Set ? [...value] : value)) as string | undefined;
  return text === undefined ? null : JSON.parse(text);
}
