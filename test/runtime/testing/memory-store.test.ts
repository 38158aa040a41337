import { suite } from "uvu";
import * as assert from "uvu/assert";
import { MemoryDisk, MemoryStores } from "../../../runtime/testing/memory-store.ts";
import { storeContract } from "../../contracts/store-contract.ts";

storeContract("memory store: contract", async () => {
  const disk = new MemoryDisk();
  let fail = false;
  const schedule = (_name: string, run: (failure?: Error) => void) => queueMicrotask(() => {
    const failure = fail ? new Error("input/output error") : undefined;
    fail = false;
    run(failure);
  });
  return {
    stores: new MemoryStores(disk, schedule),
    other: () => new MemoryStores(disk),
    failNextWrite: () => { fail = true; },
    [Symbol.asyncDispose]: async () => {},
  };
});

const test = suite("memory store: faults");

test("a disk that is full has a code of its own: it is waited for", async () => {
  const stores = new MemoryStores(new MemoryDisk(), (_name, run) => queueMicrotask(() => run(new Error("IO error: 000003.log: No space left on device"))));
  const store = await stores.open("a");
  const codes = await Promise.all([1, 2].map((value) => store.write(put(value)).then(() => "written", (error: { code: string }) => error.code)));
  assert.equal(codes, ["JOURNAL_NO_ROOM", "JOURNAL_NO_ROOM"]);
});

const key = Uint8Array.of(1);
const put = (value: number) => [{ type: "put" as const, key, value: Uint8Array.of(value) }];

/** A disk whose writes wait until they are let through. */
function heldDisk() {
  const disk = new MemoryDisk();
  const held: (() => void)[] = [];
  const stores = new MemoryStores(disk, (_name, run) => held.push(run));
  return { disk, stores, held };
}

test("a write of a killed process never reaches the disk and never settles, and its lock is free", async () => {
  const { disk, stores, held } = heldDisk();
  const store = await stores.open("a");
  let settled = false;
  const note = () => { settled = true; };
  store.write(put(1)).then(note, note);
  await Promise.resolve();
  await Promise.resolve();
  assert.is(held.length, 1);
  store.kill();
  held[0]?.();
  store.write(put(2)).then(note, note);
  const next = await new MemoryStores(disk).open("a");
  assert.is(next.get(key), undefined);
  assert.is(settled, false);
});

test("a write that reached the disk before the kill is there afterwards", async () => {
  const disk = new MemoryDisk();
  const stores = new MemoryStores(disk);
  const store = await stores.open("a");
  await store.write(put(1));
  stores.kill();
  const next = await new MemoryStores(disk).open("a");
  assert.equal([...(next.get(key) as Uint8Array)], [1]);
});

test("one write is at the disk at a time", async () => {
  const { stores, held } = heldDisk();
  const store = await stores.open("a");
  const writes = [store.write(put(1)), store.write(put(2))];
  await new Promise(setImmediate);
  assert.is(held.length, 1);
  held[0]?.();
  await new Promise(setImmediate);
  assert.is(held.length, 2);
  held[1]?.();
  await Promise.all(writes);
  assert.equal([...(store.get(key) as Uint8Array)], [2]);
});

test("a disk goes back to a snapshot, as often as wanted", async () => {
  const disk = new MemoryDisk();
  let store = await new MemoryStores(disk).open("a");
  await store.write(put(1));
  const snapshot = disk.snapshot();
  for (let time = 0; time < 2; time++) {
    await store.write(put(2));
    assert.throws(() => disk.restore(snapshot), /open/);
    store.kill();
    disk.restore(snapshot);
    store = await new MemoryStores(disk).open("a");
    assert.equal([...(store.get(key) as Uint8Array)], [1]);
  }
});

test.run();
