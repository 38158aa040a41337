import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { Appended } from "../../../../runtime/broker/broker.ts";
import { streamMissing, unreachable } from "../../../../runtime/broker/failures.ts";
import type { Api } from "../../../../runtime/broker/nats/api.ts";
import { Appender } from "../../../../runtime/broker/nats/appender.ts";
import type { Client } from "../../../../runtime/broker/nats/client.ts";
import type { Message } from "../../../../runtime/broker/nats/wire.ts";
import { within } from "../../../support/waiting.ts";

const test = suite("appender");

/** An appender whose server is the test. */
function appender(about: () => Promise<unknown> = () => Promise.reject(unreachable("x", "not asked for"))) {
  const sent: string[] = [];
  let answer: (message: Message) => void = () => {};
  let questions = 0;
  const client = {
    connected: true,
    newInbox: () => "_INBOX.test.1",
    subscribe: (_subject: string, call: (message: Message) => void) => { answer = call; },
    publish: (_subject: string, _data: Uint8Array, reply: string) => { sent.push(reply); },
  };
  const api = { about: () => { questions++; return about(); } };
  const made = new Appender(client as unknown as Client, api as unknown as Api);
  return {
    client,
    append: (timeoutMs = 60_000, bytes = 0) => made.append("mr_a", "mr.a", new Uint8Array(bytes), undefined, timeoutMs),
    lost: () => made.lost(),
    sent,
    questions: () => questions,
    ack: (at: number, text: string, code?: number) => answer({
      subject: sent[at] as string,
      data: Buffer.from(text),
      size: () => 0,
      ...(code === undefined ? {} : { headers: { code, description: "", get: () => "" } }),
    }),
  };
}

const error = (errCode: number, description = "") => JSON.stringify({ error: { code: 400, err_code: errCode, description }, stream: "mr_a", seq: 0 });

for (const [ack, expected] of [
  ['{"stream":"mr_a","seq":7}', 7],
  ['{"stream":"mr_a", "seq":1234567890}', 1234567890],
  ['{"stream":"mr_a","domain":"hub","seq":7}', 7],
  ['{"stream":"mr_a","seq":7,"duplicate":true}', "unknown"],
  ['{"stream":"mr_a","seq":0,"duplicate":true}', "unknown"],
  ['{"stream":"mr_ab","seq":7}', "missing"],
  ['{"stream":"mr_b","seq":7}', "missing"],
  [error(10071, "wrong last sequence: 5"), "refused"],
  [error(10060, "expected stream does not match"), "missing"],
  [error(10077, "maximum messages exceeded"), "full"],
  [error(10077, "maximum bytes exceeded"), "unknown"],
  [error(10077, "no space left on device"), "unknown"],
  [error(10158), "unknown"],
  [error(10163), "unknown"],
  [error(10164), "unknown"],
  [error(10167), "unknown"],
  [error(10047), "unknown"],
  ["", "unknown"],
  ["+ACK", "unknown"],
  ["{", "unknown"],
] as const) {
  test(`the ack ${ack} means ${expected}`, async () => {
    const { append, ack: give } = appender();
    const outcome = append();
    give(0, ack);
    assert.is(await outcome, expected);
  });
}

test("acks settle the appends they belong to, in any order, each once", async () => {
  const { append, ack, sent } = appender();
  const outcomes = [append(), append(), append()];
  for (const at of [2, 0, 2, 1]) ack(at, `{"stream":"mr_a","seq":${at + 1}}`);
  assert.is(new Set(sent).size, 3);
  assert.equal(await Promise.all(outcomes), [1, 2, 3]);
  ack(0, error(10071));
});

test("where nobody took the message one question decides for all: no such stream is missing, all else unknown", async () => {
  for (const [about, expected] of [
    [() => Promise.reject(streamMissing("mr_a")), "missing"],
    [() => Promise.resolve({}), "unknown"],
    [() => Promise.reject(unreachable("mr_a", "no leader")), "unknown"],
  ] as const) {
    const { append, ack, questions } = appender(about);
    const outcomes = [append(), append()];
    ack(0, "", 503);
    ack(1, "", 503);
    assert.equal(await Promise.all(outcomes), [expected, expected]);
    assert.is(questions(), 1);
  }
});

test("an ack that does not come in time leaves it unknown, and comes to nobody later", async () => {
  const { append, ack } = appender();
  const outcomes: Promise<Appended>[] = [append(50), append(60_000)];
  assert.is(await within(2_000, "the time-out", outcomes[0] as Promise<Appended>), "unknown");
  ack(0, '{"stream":"mr_a","seq":1}');
  ack(1, '{"stream":"mr_a","seq":2}');
  assert.is(await outcomes[1], 2);
});

test("a lost connection leaves all unknown at once, and nothing is sent without one", async () => {
  const { append, lost, sent, client } = appender();
  const outcomes = [append(), append()];
  client.connected = false;
  lost();
  assert.equal(await Promise.all(outcomes), ["unknown", "unknown"]);
  assert.is(await append(), "unknown");
  assert.is(sent.length, 2);
});

test("no more than 64 MiB wait for acks: the next one is not sent, and unknown by its time-out; an ack, though late, makes room", async () => {
  const { append, ack, sent } = appender();
  const megabyte = 1024 * 1024;
  const outcomes = Array.from({ length: 65 }, () => append(50, megabyte));
  assert.is(sent.length, 64);
  const next = append(50, megabyte);
  assert.is(sent.length, 64);
  assert.ok((await within(2_000, "the time-outs", Promise.all([...outcomes, next]))).every((outcome) => outcome === "unknown"));
  const still = append(50, 1);
  assert.is(sent.length, 64);
  for (const at of [3, 4]) ack(at, '{"stream":"mr_a","seq":1}');
  const again = append(60_000, 1);
  assert.is(sent.length, 65);
  ack(64, '{"stream":"mr_a","seq":9}');
  assert.equal([await within(2_000, "the time-out", still), await again], ["unknown", 9]);
});

test("a publish that throws leaves it unknown", async () => {
  const { append, client } = appender();
  client.publish = () => { throw new Error("closed"); };
  assert.is(await append(), "unknown");
});

test.run();
