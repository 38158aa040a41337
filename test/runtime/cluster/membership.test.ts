import { suite } from "uvu";
import * as assert from "uvu/assert";
import { Membership, missedBeats } from "../../../runtime/cluster/membership.ts";
import { decodeNode, encodeNode, type NodeRecord } from "../../../runtime/cluster/node-record.ts";

const test = suite("membership of a cluster");

const record = (name: string, beat: number, more: Partial<NodeRecord> = {}): NodeRecord =>
  ({ name, life: "1", beat, state: "here", weight: 1, labels: [], version: "0.1.0", startedAt: 0, flows: [], ...more });
const self = { name: "me", life: "1" };
const names = (membership: Membership): string[] => membership.nodes.map(({ name }) => name);

test("a node is there with its first beat, and gone when so many of my own beats are stored after its last", () => {
  const membership = new Membership(self);
  assert.equal(membership.take(record("me", 1)), [["me", "joined"]]);
  assert.equal(membership.take(record("b", 1)), [["b", "joined"]]);
  for (let beat = 2; beat <= missedBeats; beat++) assert.equal(membership.take(record("me", beat)), []);
  assert.equal(names(membership), ["b", "me"]);
  assert.equal(membership.take(record("me", missedBeats + 1)), [["b", "gone"]]);
  assert.equal(names(membership), ["me"]);
  assert.is(membership.former("b")?.name, "b");
});

test("whoever beats stays, for however long", () => {
  const membership = new Membership(self);
  for (let beat = 1; beat < 1_000; beat++) for (const name of ["b", "me", "c"]) membership.take(record(name, beat));
  assert.equal(names(membership), ["b", "c", "me"]);
});

test("who does not hear itself judges nobody: NATS was away, or this process stood still", () => {
  const membership = new Membership(self);
  for (const name of ["me", "b", "c"]) membership.take(record(name, 1));
  for (let beat = 2; beat < 1_000; beat++) membership.take(record("c", beat));
  assert.equal(names(membership), ["b", "c", "me"]);
});

test("a beat that is told once more because something changed does not count as another", () => {
  const membership = new Membership(self);
  for (const name of ["me", "b"]) membership.take(record(name, 1));
  for (let told = 0; told < 100; told++) membership.take(record("me", 2));
  assert.equal(names(membership), ["b", "me"]);
});

test("what an earlier life of mine had said does not count", () => {
  const membership = new Membership(self);
  membership.take(record("b", 1));
  assert.equal(membership.take(record("me", 900, { life: "0" })), [["me", "joined"]]);
  assert.equal(membership.take(record("me", 1)), [["me", "joined"]]);
  assert.equal(names(membership), ["b", "me"]);
});

test("who leaves in order is not there at once; a farewell of an earlier life is not heard", () => {
  const membership = new Membership(self);
  for (const name of ["me", "b"]) membership.take(record(name, 1, { life: "2" }));
  assert.equal(membership.take(record("b", 7, { state: "left" })), []);
  assert.equal(membership.take(record("b", 7, { state: "left", life: "2" })), [["b", "left"]]);
  assert.equal(membership.take(record("b", 7, { state: "left", life: "2" })), []);
  assert.equal(names(membership), ["me"]);
});

test("a node that was started again is told apart from the one before; a changed offer is told", () => {
  const membership = new Membership(self);
  membership.take(record("b", 5));
  assert.equal(membership.take(record("b", 6)), []);
  assert.equal(membership.take(record("b", 7, { labels: ["gpu"] })), [["b", "changed"]]);
  assert.equal(membership.take(record("b", 1, { life: "2", labels: ["gpu"] })), [["b", "joined"]]);
  assert.is(membership.has("b", "1"), false);
  assert.is(membership.has("b", "2"), true);
});

test("beats of mine that never came back do not count: the first one after an outage judges nobody", () => {
  const membership = new Membership(self);
  for (const name of ["me", "b"]) membership.take(record(name, 1));
  assert.equal(membership.take(record("me", 500)), []);
  assert.equal(names(membership), ["b", "me"]);
});

test("a zombie that goes on is there again, as one that joined", () => {
  const membership = new Membership(self);
  for (const name of ["me", "b"]) membership.take(record(name, 1));
  for (let beat = 2; beat <= 1 + missedBeats; beat++) membership.take(record("me", beat));
  assert.equal(names(membership), ["me"]);
  assert.equal(membership.take(record("b", 2)), [["b", "joined"]]);
});

test("a record is read as it was written; what is none is refused, what is newer is left alone", () => {
  const full = record("b", 3, { capacity: 5, labels: ["gpu"], flows: [{ name: "f", code: "abc", hosted: 4, ended: 1, stuck: 0 }] });
  assert.equal(decodeNode(encodeNode(full)), full);
  assert.is(decodeNode(Buffer.from('{"v":2}')), undefined);
  for (const bytes of ["", "[]", "null", "{}", '{"v":1}', JSON.stringify({ v: 1, ...full, weight: 0 }), JSON.stringify({ v: 1, ...full, state: "away" }), JSON.stringify({ v: 1, ...full, flows: [{}] }), JSON.stringify({ v: 1, ...full, labels: [3] })]) {
    assert.throws(() => decodeNode(Buffer.from(bytes)), /BYTES_REFUSED/);
  }
});

test.run();
