// What journal/store.ts promises, as tests that any implementation passes. Each sentence of the port has one.
import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { Store, StoreOperation, Stores } from "../../runtime/journal/store.ts";
import { rejection } from "../support/rejection.ts";

export interface StoreFixture extends AsyncDisposable {
  readonly stores: Stores;
  /** Makes the next write of the store fail, as a full disk does. */
  failNextWrite(store: Store): void;
  /** The same folder as another process would have it. */
  other(): Stores;
}

const bytes = (...values: number[]) => Uint8Array.from(values);
const text = (value: string) => new TextEncoder().encode(value);
const put = (key: Uint8Array, value: Uint8Array): StoreOperation => ({ type: "put", key, value });
const del = (key: Uint8Array): StoreOperation => ({ type: "del", key });
async function all(range: AsyncIterable<readonly [Uint8Array, Uint8Array]>): Promise<number[][][]> {
  const found: number[][][] = [];
  for await (const [key, value] of range) found.push([[...key], [...value]]);
  return found;
}

export function storeContract(name: string, make: () => Promise<StoreFixture>): void {
  const test = suite(name);

  test("a new store is empty, and exists from its opening on", async () => {
    await using fixture = await make();
    assert.is(await fixture.stores.exists("quakes/felt/0"), false);
    const store = await fixture.stores.open("quakes/felt/0");
    assert.is(await fixture.stores.exists("quakes/felt/0"), true);
    assert.is(store.get(text("key")), undefined);
    assert.equal(await all(store.range(bytes(), bytes(255, 255))), []);
    await store.close();
  });

  test("what was written is read back at once, byte for byte, and after closing and opening", async () => {
    await using fixture = await make();
    const every = Uint8Array.from({ length: 256 }, (_, i) => i);
    let store = await fixture.stores.open("a");
    await store.write([put(every, every), put(text("empty"), bytes())]);
    for (let time = 0; time < 2; time++) {
      assert.equal([...(store.get(every) as Uint8Array)], [...every]);
      assert.equal([...(store.get(text("empty")) as Uint8Array)], []);
      await store.close();
      store = await fixture.stores.open("a");
    }
    await store.close();
  });

  test("a value that was read can be kept and changed without touching the store", async () => {
    await using fixture = await make();
    const store = await fixture.stores.open("a");
    await store.write([put(bytes(1), bytes(1, 2, 3))]);
    (store.get(bytes(1)) as Uint8Array).fill(9);
    for await (const [, value] of store.range(bytes(0), bytes(9))) value.fill(9);
    assert.equal([...(store.get(bytes(1)) as Uint8Array)], [1, 2, 3]);
    await store.close();
  });

  test("puts and deletions of one write are carried out in their order", async () => {
    await using fixture = await make();
    const store = await fixture.stores.open("a");
    await store.write([put(bytes(1), bytes(1)), put(bytes(1), bytes(2)), del(bytes(1)), put(bytes(2), bytes(1)), del(bytes(3)), put(bytes(2), bytes(2))]);
    assert.equal(await all(store.range(bytes(0), bytes(9))), [[[2], [2]]]);
    await store.close();
  });

  test("writes that are not awaited are carried out in the order of their calls", async () => {
    await using fixture = await make();
    const store = await fixture.stores.open("a");
    const order: number[] = [];
    await Promise.all(Array.from({ length: 200 }, (_, i) => store.write([put(bytes(1), bytes(i)), put(bytes(2, i), bytes(i))]).then(() => order.push(i))));
    assert.equal(order, Array.from({ length: 200 }, (_, i) => i));
    assert.equal([...(store.get(bytes(1)) as Uint8Array)], [199]);
    assert.is((await all(store.range(bytes(2, 0), bytes(3)))).length, 200);
    await store.close();
  });

  test("a range gives gte <= key < lt, in the order of the bytes, an end first where asked, no more than its limit", async () => {
    await using fixture = await make();
    const store = await fixture.stores.open("a");
    const keys = [bytes(), bytes(0), bytes(0, 0), bytes(0, 255), bytes(1), bytes(127), bytes(128), bytes(128, 0), bytes(255), bytes(255, 255)];
    await store.write([...keys].reverse().filter((key) => key.length > 0).map((key) => put(key, bytes(key.length))));
    const found = async (gte: Uint8Array, lt: Uint8Array, options?: { reverse?: boolean; limit?: number }) => (await all(store.range(gte, lt, options))).map(([key]) => key);
    assert.equal(await found(bytes(), bytes(255, 255, 0)), keys.slice(1).map((key) => [...key]));
    assert.equal(await found(bytes(0, 0), bytes(128)), [[0, 0], [0, 255], [1], [127]]);
    assert.equal(await found(bytes(0, 0), bytes(128), { reverse: true }), [[127], [1], [0, 255], [0, 0]]);
    assert.equal(await found(bytes(0, 0), bytes(128), { limit: 2 }), [[0, 0], [0, 255]]);
    assert.equal(await found(bytes(0, 0), bytes(128), { limit: 2, reverse: true }), [[127], [1]]);
    assert.equal(await found(bytes(128), bytes(128)), []);
    assert.equal(await found(bytes(200), bytes(10)), []);
    await store.close();
  });

  test("a range is as of its call: writes after it are not seen", async () => {
    await using fixture = await make();
    const store = await fixture.stores.open("a");
    await store.write([1, 2, 3, 4].map((i) => put(bytes(i), bytes(i))));
    const range = store.range(bytes(0), bytes(9));
    await store.write([put(bytes(2), bytes(99)), del(bytes(3)), put(bytes(5), bytes(5))]);
    assert.equal(await all(range), [1, 2, 3, 4].map((i) => [[i], [i]]));
    await store.close();
  });

  test("a range of many entries gives each once, and can be left early", async () => {
    await using fixture = await make();
    const store = await fixture.stores.open("a");
    await store.write(Array.from({ length: 5_000 }, (_, i) => put(bytes(i >> 8, i & 255), bytes(i & 255))));
    let next = 0;
    for await (const [key] of store.range(bytes(), bytes(255))) assert.is(((key[0] as number) << 8) | (key[1] as number), next++);
    assert.is(next, 5_000);
    for await (const [key] of store.range(bytes(), bytes(255))) if (key[1] === 7) break;
    await store.close();
  });

  test("after a failed write every later call fails with JOURNAL_FAILED, until it is opened again", async () => {
    await using fixture = await make();
    const store = await fixture.stores.open("a");
    await store.write([put(bytes(1), bytes(1))]);
    fixture.failNextWrite(store);
    const failed = store.write([put(bytes(2), bytes(2))]);
    const queued = store.write([put(bytes(3), bytes(3))]);
    assert.is((await rejection(failed)).code, "JOURNAL_FAILED");
    assert.is((await rejection(queued)).code, "JOURNAL_FAILED");
    assert.is((await rejection(store.write([]))).code, "JOURNAL_FAILED");
    assert.throws(() => store.get(bytes(1)), /JOURNAL_FAILED/);
    assert.throws(() => store.range(bytes(0), bytes(9)), /JOURNAL_FAILED/);
    await store.close();
    const again = await fixture.stores.open("a");
    assert.equal(await all(again.range(bytes(0), bytes(9))), [[[1], [1]]]);
    await again.write([put(bytes(2), bytes(2))]);
    await again.close();
  });

  test("a closed store refuses every call; closing waits for what was called before, and twice is no error", async () => {
    await using fixture = await make();
    const store = await fixture.stores.open("a");
    const before = store.write([put(bytes(1), bytes(1))]);
    const closing = store.close();
    assert.is((await rejection(store.write([put(bytes(2), bytes(2))]))).code, "JOURNAL_FAILED");
    await before;
    await closing;
    await store.close();
    assert.throws(() => store.get(bytes(1)), /JOURNAL_FAILED/);
    assert.throws(() => store.range(bytes(0), bytes(9)), /JOURNAL_FAILED/);
    const again = await fixture.stores.open("a");
    assert.equal(await all(again.range(bytes(0), bytes(9))), [[[1], [1]]]);
    await again.close();
  });

  test("an open store is JOURNAL_LOCKED for others, and free once it is closed", async () => {
    await using fixture = await make();
    const store = await fixture.stores.open("a");
    assert.is((await rejection(fixture.stores.open("a"))).code, "JOURNAL_LOCKED");
    assert.is((await rejection(fixture.other().open("a"))).code, "JOURNAL_LOCKED");
    assert.is((await rejection(fixture.stores.remove("a"))).code, "JOURNAL_LOCKED");
    assert.is((await rejection(fixture.stores.setAside("a"))).code, "JOURNAL_LOCKED");
    await store.write([put(bytes(1), bytes(1))]);
    await store.close();
    const other = await fixture.other().open("a");
    assert.equal([...(other.get(bytes(1)) as Uint8Array)], [1]);
    await other.close();
  });

  test("stores of one folder do not see each other, though one's name starts as the other's", async () => {
    await using fixture = await make();
    const one = await fixture.stores.open("q/a/0");
    const two = await fixture.stores.open("q/a/01");
    await one.write([put(bytes(1), bytes(1))]);
    assert.is(two.get(bytes(1)), undefined);
    await one.close();
    await two.close();
    await fixture.stores.remove("q/a/0");
    assert.is(await fixture.stores.exists("q/a/0"), false);
    assert.is(await fixture.stores.exists("q/a/01"), true);
  });

  test("a removed store is gone, opened again it is empty; removing none is no error", async () => {
    await using fixture = await make();
    await fixture.stores.remove("a");
    const store = await fixture.stores.open("a");
    await store.write([put(bytes(1), bytes(1))]);
    await store.close();
    await fixture.stores.remove("a");
    assert.is(await fixture.stores.exists("a"), false);
    const again = await fixture.stores.open("a");
    assert.is(again.get(bytes(1)), undefined);
    await again.close();
  });

  test("a store put aside keeps its entries under the name that is told, and its own name is free", async () => {
    await using fixture = await make();
    const asides: string[] = [];
    for (const value of [1, 2]) {
      const store = await fixture.stores.open("q/a");
      await store.write([put(bytes(1), bytes(value))]);
      await store.close();
      asides.push(await fixture.stores.setAside("q/a"));
      assert.is(await fixture.stores.exists("q/a"), false);
    }
    assert.equal(asides, ["q/a.broken-1", "q/a.broken-2"]);
    for (const [i, aside] of asides.entries()) {
      const store = await fixture.stores.open(aside);
      assert.equal([...(store.get(bytes(1)) as Uint8Array)], [i + 1]);
      await store.close();
    }
    assert.is((await rejection(fixture.stores.setAside("none"))).code, "JOURNAL_FAILED");
  });

  for (const bad of ["", "/", "..", "../a", "a/../b", "/etc", "a//b", "a/", ".", "A", "a b", "a\0b", "a\\b", "ü", "-a", "a".repeat(65), "a/b/c/d/e/f/g/h/i", "a.broken-", "a.broken-1/b", "CON:"]) {
    test(`no store is named ${JSON.stringify(bad.slice(0, 20))}`, async () => {
      await using fixture = await make();
      const { stores } = fixture;
      for (const call of [() => stores.open(bad), () => stores.exists(bad), () => stores.remove(bad), () => stores.setAside(bad)]) assert.is((await rejection(call())).code, "JOURNAL_NAME");
    });
  }

  test.run();
}
