import { suite } from "uvu";
import * as assert from "uvu/assert";
import { copied, frozen } from "../../../runtime/testing/frozen.ts";

const test = suite("frozen");

test("what is frozen is the value itself, and reads as before", () => {
  const value = { list: [1, { n: 2 }], map: new Map([["a", [1]]]), set: new Set([1]), at: new Date(5), bytes: new Uint8Array([1]), none: null, big: 1n };
  assert.is(frozen(value), value);
  assert.equal([value.map.get("a"), value.map.size, value.set.has(1), value.at.getTime(), [...value.bytes]], [[1], 1, true, 5, [1]]);
  assert.equal(new Map(value.map), new Map([["a", [1]]]));
  for (const plain of [1, "a", undefined, null, true]) assert.is(frozen(plain), plain);
});

test("nothing of it can be changed in place", () => {
  const value = frozen({ list: [1, { n: 2 }], map: new Map([["a", { n: 1 }]]), set: new Set<unknown>([[1]]), at: new Date(5), bare: Object.assign(Object.create(null), { n: 1 }) as { n: number } });
  const changes: readonly (() => unknown)[] = [
    () => { (value as { list: unknown }).list = []; }, () => value.list.push(1), () => { (value.list[1] as { n: number }).n = 3; }, 
    () => value.map.set("b", { n: 1 }), () => value.map.delete("a"), () => value.map.clear(), () => { (value.map.get("a") as { n: number }).n = 2; },
    () => value.set.add(2), () => value.set.delete(1), () => value.set.clear(), () => ([...value.set][0] as number[]).push(2),
    () => value.at.setTime(6), () => value.at.setUTCFullYear(1999), () => { value.bare.n = 2; },
  ];
  for (const [i, change] of changes.entries()) assert.throws(change, (error: unknown) => error instanceof TypeError, `change ${i}`);
  assert.is(Reflect.deleteProperty(value, "list"), false);
});

test("cycles, and what is frozen already, are no trouble", () => {
  const ring: { self?: unknown; list: readonly number[] } = { list: Object.freeze([1]) };
  ring.self = ring;
  const date = Object.freeze(new Date(0)), map = Object.freeze(new Map());
  frozen([ring, date, map]);
  assert.throws(() => { ring.self = 1; }, (error: unknown) => error instanceof TypeError);
});

test("a copy shares nothing that can be changed, and leaves what is no plain data", () => {
  class Thing { n = 1; }
  const thing = new Thing(), value = { list: [{ n: 1 }], map: new Map([["a", { n: 1 }]]), set: new Set([{ n: 1 }]), at: new Date(5), bytes: new Uint8Array([1]), thing };
  const copy = copied(value) as typeof value;
  assert.equal(copy, value);
  assert.is(copy.thing, thing);
  for (const name of ["list", "map", "set", "at", "bytes"] as const) assert.is.not(copy[name], value[name]);
  assert.is.not(copy.list[0], value.list[0]);
  assert.is.not(copy.map.get("a"), value.map.get("a"));
  assert.is.not([...copy.set][0], [...value.set][0]);
  const ring: { self?: unknown } = {};
  ring.self = ring;
  assert.ok(copied(ring), "a cycle ends");
});

test.run();
