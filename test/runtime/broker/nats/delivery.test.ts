import { suite } from "uvu";
import * as assert from "uvu/assert";
import { parseNotice, parsePlace } from "../../../../runtime/broker/nats/delivery.ts";

const test = suite("delivery");

function read(reply: string) {
  const place = { stream: 0, delivery: 0, pending: 0 };
  return parsePlace(reply, place) ? place : undefined;
}

test("the place of a message is read from both forms of its reply subject", () => {
  const place = { stream: 1234567, delivery: 7, pending: 89 };
  assert.equal(read("$JS.ACK.mr_a.mr_c_1.1.1234567.7.1795677778765432123.89"), place);
  assert.equal(read("$JS.ACK.hub.ACCOUNT.mr_a.mr_c_1.1.1234567.7.1795677778765432123.89.random"), place);
  assert.equal(read("$JS.ACK._.ACCOUNT.mr_a.mr_c_1.1.1234567.7.1795677778765432123.89"), place);
  assert.equal(read("$JS.ACK.mr_a.c.1.1.1.1795677778765432123.0"), { stream: 1, delivery: 1, pending: 0 });
});

for (const reply of ["", "_INBOX.x.1", "$JS.ACK.a.b.1.2", "$JS.ACK.a.b.1.x.7.1.0", "$JS.FC.a.b.1.2.3.4.5.6"]) {
  test(`${JSON.stringify(reply)} is no place`, () => {
    assert.is(read(reply), undefined);
  });
}

const notice = (code: number, fields: Record<string, string> = {}, description = "") =>
  parseNotice({ subject: "", data: new Uint8Array(), size: () => 0, headers: { code, description, get: (name) => fields[name] ?? "" } });

test("a heartbeat tells the number of the last delivery", () => {
  assert.equal(notice(100, { "Nats-Last-Consumer": "12", "Nats-Last-Stream": "400" }), { kind: "heartbeat", delivered: 12 });
});

test("a request that ended tells what is left of it, and whether the next message was too large for it", () => {
  const left = { "Nats-Pending-Messages": "5", "Nats-Pending-Bytes": "776" };
  assert.equal(notice(408, left), { kind: "ended", messages: 5, bytes: 776, isTooSmall: false });
  assert.equal(notice(409, left, "Batch Completed"), { kind: "ended", messages: 5, bytes: 776, isTooSmall: false });
  assert.equal(notice(409, left, "Message Size Exceeds MaxBytes"), { kind: "ended", messages: 5, bytes: 776, isTooSmall: true });
  assert.equal(notice(409, left, "Server Shutdown"), { kind: "broken" });
});

for (const code of [400, 404, 408, 409, 423, 503, 0]) {
  test(`${code} without what is left means that the consumer must be made again`, () => {
    assert.equal(notice(code), { kind: "broken" });
  });
}

test.run();
