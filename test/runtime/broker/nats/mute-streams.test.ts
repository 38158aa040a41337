import { suite } from "uvu";
import * as assert from "uvu/assert";
import { MuteStreams } from "../../../../runtime/broker/nats/mute-streams.ts";
import { ManualClock, settle } from "../../../../runtime/testing/manual-clock.ts";

const test = suite("mute streams");

function world(answers: (stream: string) => Promise<boolean> = () => Promise.resolve(true)) {
  const clock = new ManualClock(), told: (readonly string[])[] = [], asked: string[] = [];
  const streams = new MuteStreams({ now: () => clock.monotonic(), answers: (stream) => { asked.push(stream); return answers(stream); }, told: (its) => told.push(its) });
  /** Appends that are not acknowledged, one a second. */
  const unanswered = async (stream: string, seconds: number): Promise<void> => {
    for (let second = 0; second < seconds; second++) {
      streams.unanswered(stream);
      await settle();
      clock.advance(1_000);
    }
  };
  return { clock, told, asked, streams, unanswered };
}

test("a stream that acknowledges nothing for 10 s while the server answers about it is told, with what to do; again each 10 s", async () => {
  const { told, asked, streams, unanswered } = world();
  await unanswered("a", 10);
  assert.equal([told, asked, streams.fault], [[], [], undefined]);
  await unanswered("a", 1);
  assert.equal([told, asked], [[["a"]], ["a"]]);
  assert.is(streams.fault?.code, "NATS_NOT_WRITING");
  assert.match(String(streams.fault), /writes nothing more to a .*restart it/);
  await unanswered("b", 11);
  assert.equal(told.slice(1), [["a", "b"]]);
  assert.match(String(streams.fault), /a and 1 others/);
  await unanswered("a", 11);
  assert.is(told.length, 3);
});

test("one acknowledgement, or another server, and all is well", async () => {
  const { told, asked, streams, unanswered } = world();
  await unanswered("a", 9);
  streams.answered("a");
  await unanswered("a", 9);
  assert.equal([told, asked], [[], []]);
  await unanswered("a", 2);
  assert.is(told.length, 1);
  streams.answered("a");
  assert.is(streams.fault, undefined);
  await unanswered("a", 11);
  streams.lost();
  assert.is(streams.fault, undefined);
});

test("a few appends that waited long are no proof, and a server that does not answer is only down", async () => {
  const { clock, asked, streams } = world();
  streams.unanswered("a");
  clock.advance(60_000);
  streams.unanswered("a");
  assert.equal(asked, []);
  for (const answers of [() => Promise.resolve(false), () => Promise.reject(new Error("down"))]) {
    const down = world(answers);
    await down.unanswered("a", 30);
    assert.equal([down.told, down.streams.fault], [[], undefined]);
    assert.ok(down.asked.length >= 2, "it is asked again");
  }
});

test("an acknowledgement that comes while the server is asked counts", async () => {
  let answer: (answers: boolean) => void = () => {};
  const { told, streams, unanswered } = world(() => new Promise((resolve) => { answer = resolve; }));
  await unanswered("a", 12);
  streams.answered("a");
  answer(true);
  await settle();
  assert.equal([told, streams.fault], [[], undefined]);
});

test.run();
