import { suite } from "uvu";
import * as assert from "uvu/assert";
import { Story, storyStream, storySubject } from "../../../runtime/node/story.ts";
import type { Decision } from "../../../runtime/supervision/decision.ts";
import { ManualClock, settle } from "../../../runtime/testing/manual-clock.ts";
import { MemoryBroker } from "../../../runtime/testing/memory-broker.ts";
import { MemoryServer } from "../../../runtime/testing/memory-server.ts";

const test = suite("story");

const decision = (at: number): Decision => ({ at, supervisor: "f/s", context: "run", reason: { class: "crash", message: "no" }, offender: "f/s/0", action: "restart", decision: "restart", restarts: at });

async function world() {
  const clock = new ManualClock(), server = new MemoryServer({ clock }), broker = new MemoryBroker(server), story = new Story(broker, clock);
  await broker.create({ name: storyStream("f"), subject: "mr.story.f.>", maxPerSubject: 200, replicas: 1 });
  const told = async (): Promise<number[]> => {
    const numbers: number[] = [];
    for await (const { data } of new MemoryBroker(server).stream("mr_story_f", "mr.story.f.>").read(1, 1_000_000)) numbers.push((JSON.parse(Buffer.from(data).toString()) as Decision).at);
    return numbers;
  };
  return { clock, server, broker, story, told, tell: (at: number) => story.tell("f", "mr.story.f.s.g.0", decision(at)) };
}

for (const [offender, subject] of [["f/s/3", "mr.story.f.s.k3v9x2ab-1.3"], ["f/s", "mr.story.f.s.k3v9x2ab-1.all"], ["f", "mr.story.f.-.-.all"]] as const) {
  test(`what is decided about ${offender} has its own subject`, () => assert.is(storySubject("f", offender, () => "k3v9x2ab-1"), subject));
}

test("decisions are published in their order", async () => {
  const { tell, told } = await world();
  for (const at of [1, 2, 3]) tell(at);
  await settle();
  assert.equal(await told(), [1, 2, 3]);
});

test("while NATS is away they wait, and come when it is back", async () => {
  const { tell, told, broker, story } = await world();
  broker.disconnect();
  for (const at of [1, 2]) tell(at);
  await settle();
  assert.equal(await told(), []);
  broker.reconnect();
  story.send();
  await settle();
  assert.equal(await told(), [1, 2]);
});

test("of very many that wait the oldest go: they are in the node's own log", async () => {
  const { tell, told, broker, story } = await world();
  broker.disconnect();
  for (let at = 1; at <= 1_010; at++) tell(at);
  broker.reconnect();
  story.send();
  for (let turn = 0; turn < 5_000 && (await told()).at(-1) !== 1_010; turn++) await settle();
  assert.is((await told()).at(-1), 1_010);
});

test("what the broker does not take now is tried again, less and less often", async () => {
  const { tell, told, server, clock } = await world();
  server.remove("mr_story_f");
  tell(1);
  await settle();
  assert.is(clock.next, 100);
  await clock.elapse(100);
  assert.is(clock.next, 200);
  server.create({ name: storyStream("f"), subject: "mr.story.f.>", replicas: 1 });
  await clock.elapse(200);
  assert.equal([await told(), clock.pending], [[1], 0]);
});

test("a flow whose stream is gone keeps none of another flow from being told, nor does a decision that is larger than a message", async () => {
  const { tell, told, story, clock } = await world();
  story.tell("gone", "mr.story.gone.s.g.0", decision(1));
  story.tell("f", "mr.story.f.s.g.0", { ...decision(2), with: Array.from({ length: 20_000 }, (_, p) => `f/${"s".repeat(60)}/${p}`) });
  tell(3);
  await settle();
  await clock.elapse(100);
  assert.equal(await told(), [3]);
  story.close();
});

test("a closed one tells nothing and leaves no timer", async () => {
  const { tell, server, clock, story } = await world();
  server.remove("mr_story_f");
  tell(1);
  await settle();
  story.close();
  assert.is(clock.pending, 0);
});

test.run();
