// Puts an actor together: its behaviour by the kind of its stage, its outlets by the edges out of it.
import type { BrokerStream } from "../broker/broker.ts";
import { decodeRecord } from "../journal/record.ts";
import type { EdgePlan, StagePlan } from "../flow/plan.ts";
import { Actor } from "./actor.ts";
import { ChainDelivery, MailboxDelivery } from "./delivery.ts";
import { Emitter } from "./emitter.ts";
import { type ActorEnvironment, type ActorEvents, addressOf, deadStream, streamName, subjectsOf } from "./environment.ts";
import { Outlet, outletId } from "./outlet.ts";
import { Processor } from "./processor.ts";
import { SinkWriter } from "./sink-writer.ts";
import { SourceReader } from "./source-reader.ts";

/** One life of an actor; `start` begins it. */
export function createActor(env: ActorEnvironment, stage: StagePlan, partition: number, events: ActorEvents): Actor {
  return new Actor(env, stage, partition, events, {
    emitter: (actor) => wire(actor, env, stage),
    behaviour: (actor) => (stage.kind === "source" ? new SourceReader(actor, stage) : stage.kind === "sink" ? new SinkWriter(actor, stage) : new Processor(actor, stage)),
  });
}

function wire(actor: Actor, env: ActorEnvironment, stage: StagePlan): Emitter {
  const { flow, broker, clock, random } = env, options = { clock, random, onChange: () => actor.settled() };
  const outlets = new Map<string, Outlet>();
  // Edges that lead to one stage share its mailboxes: one channel each, numbers count over all of them.
  const outlet = ({ to, input }: EdgePlan, partition: number): Outlet => {
    const { generation } = env.division(to), target = [to, generation, partition, input] as const, id = outletId(target);
    let known = outlets.get(id);
    if (known === undefined) {
      const subject = subjectsOf(flow.name, to, generation, partition).mailbox(input);
      const { log } = subjectsOf(flow.name, to, generation, partition), readerEnded = () => hasEnded(broker.stream(streamName(log), log));
      const eventTime = stage.readers.some((edge) => edge.to === to && edge.input === input && edge.eventTime);
      outlets.set(id, (known = new Outlet(target, new MailboxDelivery(broker.stream(streamName(subject), subject), { ...options, readerEnded }), eventTime)));
    }
    return known;
  };
  const dead = subjectsOf(flow.name, stage.name, env.division(stage.name).generation, actor.partition).dead;
  return new Emitter({
    actor: addressOf(flow, stage, actor.partition), code: env.code, type: `${flow.name}.${stage.name}`, edges: stage.readers, outlet,
    partitions: (to) => env.division(to).count, dead: new Outlet(dead, new ChainDelivery(broker.stream(deadStream(flow.name), dead), options), false),
  });
}

/** Whether the last record of a log says that its actor has ended; false where that cannot be said now. */
async function hasEnded(log: BrokerStream): Promise<boolean> {
  try {
    const last = await log.last(), record = last === undefined ? undefined : decodeRecord(last.data);
    return record?.kind === "stop" && record.body.own?.ended === true;
  } catch {
    return false;
  }
}
