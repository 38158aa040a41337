// Baseline (b): the same client by someone who knows: JSON arrays of 256, an ack for each array, no stack traces per call. Still at
// least once, state in memory, and no order per key once there are several workers.
import { connect, type ConsumerMessages, JSONCodec } from "nats";
import { counts, Outcome, plus, type Total, type Update, updatesOf } from "./bids.ts";
import { type Contender, type Run, Stopwatch } from "./contender.ts";
import { eventOf, makeStreams } from "./plain.ts";

const batchSize = 256;
const inFlight = 32;
const events = JSONCodec<ReturnType<typeof eventOf>[]>();
const updates = JSONCodec<Update[]>();

export const batched: Contender = async ({ server, events: count }: Run) => {
  const connection = await connect({ servers: server.servers, user: server.user, pass: server.pass, noAsyncTraces: true });
  await makeStreams(connection);
  const jetStream = connection.jetstream();
  const publish = async () => {
    let pending: Promise<unknown>[] = [];
    let batch: ReturnType<typeof eventOf>[] = [];
    for (let n = 0; n < count; n++) {
      batch.push(eventOf(n));
      if (batch.length >= batchSize || n === count - 1) {
        pending.push(jetStream.publish("in.x", events.encode(batch)));
        batch = [];
      }
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
      const out: Update[] = [];
      for (const { key, data } of events.decode(message.data)) {
        if (!counts(data)) continue;
        const total = plus(totals.get(key), data);
        totals.set(key, total);
        out.push({ key, ...total });
      }
      void jetStream.publish("out.x", updates.encode(out), { msgID: `o${message.seq}` }).then(() => message.ack());
    }
  };
  const input = await (await jetStream.consumers.get("IN", "d")).consume({ max_messages: 64 });
  const output = await (await jetStream.consumers.get("OUT", "d")).consume({ max_messages: 64 });
  const outcome = new Outcome();
  const expected = updatesOf(count);
  const watch = new Stopwatch();
  watch.start();
  const publishing = publish();
  const folding = fold(input);
  for await (const message of output) {
    for (const update of updates.decode(message.data)) outcome.add(update);
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
