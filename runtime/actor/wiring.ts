// Puts an actor together: its behaviour by the kind of its stage, its outlets by the edges out of it.
import { MillraceError } from "../event/errors.ts";
import type { StagePlan } from "../flow/plan.ts";
import { Actor } from "./actor.ts";
import { ChainDelivery, MailboxDelivery } from "./delivery.ts";
import { Emitter, type MailboxTarget } from "./emitter.ts";
import { type ActorEnvironment, type ActorEvents, addressOf, type Division, type Place, deadStream, streamName, subjectsOf } from "./environment.ts";
import { exitOf } from "./exit.ts";
import { isOver } from "./missing-end.ts";
import { Outlet } from "./outlet.ts";
import { Processor } from "./processor.ts";
import { Routing } from "./routing.ts";
import { SinkWriter } from "./sink-writer.ts";
import { SourceReader } from "./source-reader.ts";

/** One life of an actor; `start` begins it. `as`: where its stage is being scaled. */
export function createActor(env: ActorEnvironment, stage: StagePlan, partition: number, events: ActorEvents, as?: Place): Actor {
  return new Actor(env, stage, partition, events, {
    emitter: (actor) => wire(actor, env, stage),
    behaviour: (actor) => (stage.kind === "source" ? new SourceReader(actor, stage) : stage.kind === "sink" ? new SinkWriter(actor, stage) : new Processor(actor, stage)),
  }, as);
}

function wire(actor: Actor, env: ActorEnvironment, stage: StagePlan): Emitter {
  const { flow, broker, clock, random } = env, options = { clock, random, onChange: () => actor.settled() };
  const outlet = (target: MailboxTarget): Outlet => {
    const [to, generation, partition, input] = target, subject = subjectsOf(flow.name, to, generation, partition).mailbox(input);
    const readerEnded = () => isOver(broker, `${flow.name}/${to}/${partition}`, generation), retired = () => env.generations?.retired(to, generation) === true;
    const eventTime = stage.readers.some((edge) => edge.to === to && edge.input === input && edge.eventTime);
    return new Outlet(target, new MailboxDelivery(broker.stream(streamName(subject), subject), { ...options, readerEnded, retired }), eventTime);
  };
  // Its own stage is as it is until its own log says otherwise, whatever the plan as last seen does.
  const own: Division = { ...env.division(stage.name), generation: actor.generation }, inForce = (name: string): Division => (name === stage.name ? own : env.division(name));
  const { dead } = subjectsOf(flow.name, stage.name, actor.generation, actor.partition);
  const onForked = (seq: number): void => actor.exit(exitOf(new MillraceError("HISTORY_FORKED", actor.address, `What ${actor.address} did was written anew after a loss: its dead letters have another one under number ${seq}`, "Start the flow anew with --fresh, or bring the server's store back.")));
  return new Emitter({
    actor: addressOf(flow, stage, actor.partition), code: env.code, type: `${flow.name}.${stage.name}`, edges: stage.readers, outlet,
    routing: new Routing(inForce, env.generations), dead: new Outlet(dead, new ChainDelivery(broker.stream(deadStream(flow.name), dead), { ...options, onForked }), false),
  });
}
