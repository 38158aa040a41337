// What each node of a run of chaos over several nodes loads before its program, with `node --import`: keeps what is purged from logs and
// chunks, and what is deleted with them, so that the whole of them can be judged; and notes each actor that was fenced.
import { appendFileSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { isMainThread } from "node:worker_threads";
import type { Stored } from "../../runtime/broker/broker.ts";
import type { Api } from "../../runtime/broker/nats/api.ts";
import { keepThese } from "./chaos-archive.ts";

/** In the environment of the node, as JSON. */
export interface Preload {
  /** URL of the file of the program: what it loads is changed, not a copy. */
  readonly program: string;
  /** Gets what is purged, a file for each stream. */
  readonly archive: string;
  /** Gets a line for each actor that was fenced. */
  readonly fenced: string;
  /** Small turns, a snapshot every few records. */
  readonly small: boolean;
}

interface Info { readonly state: { readonly messages: number; readonly first_seq: number; readonly last_seq: number } }
interface Got { readonly message: { readonly seq: number; readonly data?: string } }

/** Messages are asked for so many at a time. */
const page = 64;
const { CHAOS_PRELOAD } = process.env;
if (isMainThread && CHAOS_PRELOAD !== undefined) await change(JSON.parse(CHAOS_PRELOAD) as Preload);

async function change({ program, archive, fenced, small }: Preload): Promise<void> {
  const load = <T>(path: string): Promise<T> => import(new URL(`../${path}${program.slice(program.lastIndexOf("."))}`, program).href) as Promise<T>;
  mkdirSync(archive, { recursive: true });
  const { Api: its } = await load<typeof import("../../runtime/broker/nats/api.ts")>("broker/nats/api"), call = its.prototype.call;
  its.prototype.call = async function <T>(this: Api, verb: string, body?: object, timeoutMs?: number): Promise<T> {
    const [, what, stream] = /^STREAM\.(PURGE|DELETE)\.(mr_actor_.+_(?:log|snap))$/.exec(verb) ?? [];
    if (stream !== undefined) await keepFrom(call.bind(this), stream, what === "PURGE" ? (body as { readonly seq: number }).seq : Infinity, join(archive, stream));
    return await call.call<Api, Parameters<typeof call>, Promise<T>>(this, verb, body, timeoutMs);
  };
  const { Host: host } = await load<typeof import("../../runtime/cluster/host.ts")>("cluster/host"), judge = host.prototype.fenced;
  host.prototype.fenced = function (actor) {
    appendFileSync(fenced, `${actor}\n`);
    judge.call(this, actor);
  };
  if (!small) return;
  const { turnLimit } = await load<typeof import("../../runtime/actor/limits.ts")>("actor/limits"), { snapshotEvery, snapshotSize } = await load<typeof import("../../runtime/actor/snapshot.ts")>("actor/snapshot");
  turnLimit.events = 512;
  snapshotEvery.records = 24;
  snapshotSize.inlineBytes = 2_000;
  snapshotSize.chunkBytes = 1_000;
}

/** What is below that sequence; what another has purged meanwhile it has kept. */
async function keepFrom(call: Api["call"], stream: string, before: number, to: string): Promise<void> {
  const missing = (thrown: unknown): undefined => {
    if ((thrown as { readonly code?: unknown }).code !== 404) throw thrown;
  };
  const info = await call<Info>(`STREAM.INFO.${stream}`).catch(missing);
  if (info === undefined || info.state.messages === 0) return;
  const { first_seq: first, last_seq: last } = info.state;
  for (let from = first; from <= last && from < before; from += page) {
    const numbers = Array.from({ length: Math.min(page, last + 1 - from, before - from) }, (_, i) => from + i);
    const found = await Promise.all(numbers.map((seq) => call<Got>(`STREAM.MSG.GET.${stream}`, { seq }).catch(missing)));
    keepThese(to, found.flatMap((got): Stored[] => (got === undefined ? [] : [{ seq: got.message.seq, data: Buffer.from(got.message.data ?? "", "base64") }])));
  }
}
