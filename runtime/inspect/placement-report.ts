// Who leads the cluster, and where the actors of its flows are and why: read from the cluster's log, so no node need answer.
import type { Broker } from "../broker/broker.ts";
import { emptyChain, extended } from "../cluster/placement-chain.ts";
import { clusterStream, clusterSubject } from "../cluster/placement-log.ts";
import { decodePlacement, seatsOf } from "../cluster/placement-record.ts";
import { MillraceError } from "../event/errors.ts";
import { readRun } from "../node/run-record.ts";

export interface PlacedActor {
  readonly actor: string;
  readonly node: string | null;
  /** Nodes that keep a warm copy of its journal, and how many are asked for. */
  readonly standby: readonly string[];
  readonly copies: 0 | 1 | 2;
  /** The node that a person chose for it. */
  readonly pin?: string;
  /** Its newest move: where from, why, and when (wall clock, ms since the epoch); none is known of one that was moved long ago. */
  readonly move?: { readonly from: string | null; readonly why: string; readonly at: number };
}

export interface PlacementReport {
  /** 0: nobody has led yet. */
  readonly term: number;
  readonly leader?: string;
  /** Nodes that take no actors. */
  readonly cordoned: readonly string[];
  readonly flows: readonly { readonly name: string; readonly run: string; readonly ended: boolean; /** Of one that has: it was stopped in order before its end, as by `undeploy`, and goes on when it is started again. */ readonly stopped: boolean; readonly actors: readonly PlacedActor[] }[];
}

/** @throws MillraceError UNREACHABLE, PLACEMENT_NEWER, BYTES_REFUSED */
export async function placementOn(broker: Broker): Promise<PlacementReport> {
  let chain = emptyChain;
  const moves = new Map<string, NonNullable<PlacedActor["move"]>>();
  try {
    const log = broker.stream(clusterStream, clusterSubject), { first, last } = await log.bounds();
    for await (const { seq, data } of log.read(first, last)) {
      const record = decodePlacement(data), next = extended(chain, seq, record);
      // What does not count has moved nothing.
      if (next === undefined) continue;
      chain = next;
      if (record.kind === "place") for (const { actor, from, why } of record.moves) moves.set(actor, { from, why, at: record.at });
    }
  } catch (error) {
    // No node of a cluster has ever been here.
    if (!(error instanceof MillraceError) || error.code !== "STREAM_MISSING") throw error;
  }
  const { state } = chain, stopped = new Set<string>();
  for (const { name, run, ended } of state.flows.values()) if (ended) {
    const kept = (await readRun(broker.keys, name))?.record;
    if (kept?.token === run && kept.state !== "finished") stopped.add(name);
  }
  return {
    term: state.term, ...(state.leader === undefined ? {} : { leader: state.leader.node }), cordoned: state.cordons.map(({ node }) => node),
    flows: [...state.flows.values()].map((flow) => ({
      name: flow.name, run: flow.run, ended: flow.ended, stopped: stopped.has(flow.name),
      actors: [...seatsOf(flow)].map(([actor, { node, standby, pin }]) => {
        const move = moves.get(actor);
        return { actor, node, standby, copies: flow.stages.find(({ name }) => name === actor.split("/")[1])?.place.standby ?? 0, ...(pin === undefined ? {} : { pin: pin.node }), ...(move === undefined ? {} : { move }) };
      }),
    })),
  };
}
