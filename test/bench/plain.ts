// Baseline (a): the client as its documentation teaches it, one JSON message an event; js.publish, 500 at a time, an ack for each
// message. At least once, state in memory.
import { AckPolicy, connect, type ConsumerMessages, JSONCodec, type NatsConnection } from "nats";
import { type Bid, bidOf, counts, keyOf, Outcome, plus, timeOf, type Total, type Update, updatesOf } from "./bids.ts";
import { type Contender, type Run, Stopwatch } from "./contender.ts";

interface BidEvent {
  readonly id: string;
  readonly type: "bid";
  readonly time: number;
  readonly key: string;
  readonly data: Bid;
}

const inFlight = 500;
const events = JSONCodec<BidEvent>();
const updates = JSONCodec<Update>();

/** An event as it goes over the wire in both baselines. */
export function eventOf(n: number): BidEvent {
  const data = bidOf(n);
  return { id: `ev-${n}`, type: "bid", time: timeOf(n), key: keyOf(data), data };
}

export const plain: Contender = async ({ server, events: count }: Run) => {
  const connection = await connect({ servers: server.servers, user: server.user, pass: server.pass });
  await makeStreams(connection);
  const jetStream = connection.jetstream();
  const publish = async () => {
    let pending: Promise<unknown>[] = [];
    for (let n = 0; n < count; n++) {
      const event = eventOf(n);
      pending.push(jetStream.publish(`in.${event.key}`, events.encode(event)));
      if (pending.length >= inFlight) {
        await Promise.all(pending);
        pending = [];
      }
    }
    await Promise.all(pending);
  };
  const fold = async (messages: ConsumerMessages) => {
    const totals = new Map<string, Total>();
    for await (const message of messages) {
      const { key, data } = events.decode(message.data);
      if (!counts(data)) {
        message.ack();
        continue;
      }
      const total = plus(totals.get(key), data);
      totals.set(key, total);
      void jetStream.publish(`out.${key}`, updates.encode({ key, ...total }), { msgID: `o${message.seq}` }).then(() => message.ack());
    }
  };
  const input = await (await jetStream.consumers.get("IN", "d")).consume({ max_messages: 500 });
  const output = await (await jetStream.consumers.get("OUT", "d")).consume({ max_messages: 500 });
  const outcome = new Outcome();
  const expected = updatesOf(count);
  const watch = new Stopwatch();
  watch.start();
  const publishing = publish();
  const folding = fold(input);
  for await (const message of output) {
    outcome.add(updates.decode(message.data));
    message.ack();
    if (outcome.updates === expected) break;
  }
  watch.stop();
  await publishing;
  await input.close();
  await folding;
  outcome.check(count);
  await connection.close();
  return watch.took;
};

/** A stream in and a stream out, each with a durable consumer. */
export async function makeStreams(connection: NatsConnection): Promise<void> {
  const manager = await connection.jetstreamManager();
  for (const name of ["IN", "OUT"]) {
    await manager.streams.add({ name, subjects: [`${name.toLowerCase()}.>`] });
    await manager.consumers.add(name, { durable_name: "d", ack_policy: AckPolicy.Explicit, max_ack_pending: 5_000 });
  }
}
