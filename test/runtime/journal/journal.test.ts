import { suite } from "uvu";
import * as assert from "uvu/assert";
import { crc32 } from "node:zlib";
import { MillraceError } from "../../../runtime/event/errors.ts";
import { type Entry, Journal } from "../../../runtime/journal/journal.ts";
import { foldedKey, headKey, recordKey } from "../../../runtime/journal/keys.ts";
import { LevelStores } from "../../../runtime/journal/level-store.ts";
import type { Store, Stores } from "../../../runtime/journal/store.ts";
import { MemoryStores } from "../../../runtime/testing/memory-store.ts";
import { told } from "../../support/plain-data.ts";
import { rejection } from "../../support/rejection.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

interface Fixture extends AsyncDisposable {
  readonly stores: Stores;
}

const entry = (n: number, seq = n + 100): Entry => ({ n, seq, bytes: Buffer.from(`record ${n}`) });
const entries = (from: number, to: number): Entry[] => Array.from({ length: to - from + 1 }, (_, i) => entry(from + i));
const shown = ({ n, seq, bytes }: Entry): string => `${n}@${seq} ${Buffer.from(bytes).toString()}`;

async function all(journal: Journal, from = 1): Promise<string[]> {
  const found: string[] = [];
  for await (const one of journal.read(from)) found.push(shown(one));
  return found;
}

/** Reads all that recovery reads of a journal; a text of it. */
async function readWhole(store: Store): Promise<string> {
  const journal = new Journal(store, "f/s/0"), first = await journal.first(), last = await journal.last();
  return told([journal.head, journal.folded(), first, last && shown(last), first === undefined ? [] : await all(journal, first)]);
}

async function broken(of: Promise<unknown>): Promise<string> {
  const { code, message } = await rejection(of);
  assert.is(code, "JOURNAL_BROKEN", message);
  return message;
}

function journalTests(name: string, make: () => Promise<Fixture>): void {
  const test = suite(name);
  const opened = async (fixture: Fixture): Promise<Store> => fixture.stores.open("f/s/g/0");

  test("a new journal has no head and no records", async () => {
    await using fixture = await make();
    const store = await opened(fixture), journal = new Journal(store, "f/s/0");
    assert.is(journal.head, undefined);
    assert.is(await journal.first(), undefined);
    assert.is(await journal.last(), undefined);
    assert.is(journal.folded(), undefined);
    assert.equal(await all(journal), []);
    await store.close();
  });

  test("records are there in order with their sequences, at once and after it was opened again", async () => {
    await using fixture = await make();
    let store = await opened(fixture);
    const journal = new Journal(store, "f/s/0");
    await journal.write(entries(1, 3));
    await journal.write([]);
    await Promise.all([journal.write(entries(4, 4)), journal.write(entries(5, 6))]);
    for (let time = 0; time < 2; time++) {
      const read = new Journal(store, "f/s/0");
      assert.equal(read.head, { n: 6, seq: 106, crc: crc32(Buffer.from("record 6")) });
      assert.equal(await all(read), entries(1, 6).map(shown));
      assert.equal(await all(read, 5), entries(5, 6).map(shown));
      assert.equal(await all(read, 7), []);
      assert.is(shown(await read.last() as Entry), shown(entry(6)));
      await store.close();
      store = await opened(fixture);
    }
    await store.close();
  });

  test("a record that does not follow the newest one is not written: a journal has no holes (I4)", async () => {
    await using fixture = await make();
    const store = await opened(fixture), journal = new Journal(store, "f/s/0");
    await journal.write(entries(1, 3));
    for (const wrong of [[entry(5)], [entry(3)], [entry(4), entry(6)]]) await broken(journal.write(wrong));
    assert.equal(await all(journal), entries(1, 3).map(shown));
    await journal.write([entry(4)]);
    assert.equal(await all(journal), entries(1, 4).map(shown));
    await store.close();
  });

  test("trimmed from the front it holds what follows, and goes on", async () => {
    await using fixture = await make();
    const store = await opened(fixture), journal = new Journal(store, "f/s/0");
    await journal.write(entries(1, 2_500));
    await journal.trim(2_400);
    assert.is(await journal.first(), 2_400);
    await journal.trim(2_300);
    await journal.write([entry(2_501)]);
    assert.equal(await all(journal, 2_400), entries(2_400, 2_501).map(shown));
    assert.is(new Journal(store, "f/s/0").head?.n, 2_501);
    await store.close();
  });

  test("begun anew after a snapshot, its first record may have any number, and the one before stands as head", async () => {
    await using fixture = await make();
    const store = await opened(fixture), journal = new Journal(store, "f/s/0");
    await journal.begin({ n: 41, seq: 141, crc: 0 });
    assert.is(await journal.first(), undefined);
    await broken(journal.write([entry(44)]));
    await journal.write(entries(42, 44));
    assert.equal(await all(new Journal(store, "f/s/0"), 42), entries(42, 44).map(shown));
    await store.close();
  });

  test("the mark of a fold is read back with the fields as of it", async () => {
    await using fixture = await make();
    const store = await opened(fixture), journal = new Journal(store, "f/s/0");
    await store.write([journal.foldedMark(7, { own: { watermark: Infinity } })]);
    await store.write([journal.foldedMark(9, { inputs: [[0, 5, Uint8Array.of(1), "f/a/0", 3]] })]);
    assert.is(told(new Journal(store, "f/s/0").folded()), told({ n: 9, body: { inputs: [[0, 5, Uint8Array.of(1), "f/a/0", 3]] } }));
    await store.close();
  });

  test("one flipped bit anywhere in head, mark or a record is noticed", async () => {
    await using fixture = await make();
    const store = await opened(fixture), journal = new Journal(store, "f/s/0");
    await journal.write(entries(1, 3));
    await store.write([journal.foldedMark(2, { counts: { in: 1 } })]);
    const good = await readWhole(store), unread: string[] = [];
    for (const [what, key] of [["head", headKey], ["mark", foldedKey], ["record 1", recordKey(1)], ["record 2", recordKey(2)], ["record 3", recordKey(3)]] as const) {
      const value = store.get(key) as Uint8Array;
      for (let at = 0; at < value.length; at++) {
        for (const bit of [0, 7]) {
          const flipped = Uint8Array.from(value);
          flipped[at] = (flipped[at] as number) ^ (1 << bit);
          await store.write([{ type: "put", key, value: flipped }]);
          let read: string | undefined;
          try {
            read = await readWhole(store);
          } catch (error) {
            if (!(error instanceof MillraceError) || !["JOURNAL_BROKEN", "BYTES_REFUSED"].includes(error.code)) throw error;
          }
          if (read !== undefined) unread.push(`${what} ${at}${read === good ? "" : ` reads as ${read}`}`);
        }
      }
      await store.write([{ type: "put", key, value }]);
    }
    assert.is(await readWhole(store), good);
    assert.equal(unread, []);
    await store.close();
  });

  test("a value that is cut short, or longer, is noticed", async () => {
    await using fixture = await make();
    const store = await opened(fixture), journal = new Journal(store, "f/s/0");
    await journal.write(entries(1, 3));
    await store.write([journal.foldedMark(2, {})]);
    for (const key of [headKey, foldedKey, recordKey(1), recordKey(2), recordKey(3)]) {
      const value = store.get(key) as Uint8Array;
      for (const other of [value.subarray(0, 0), value.subarray(0, 3), value.subarray(0, value.length - 1), Buffer.concat([value, Buffer.of(0)])]) {
        await store.write([{ type: "put", key, value: other }]);
        await broken(readWhole(store));
      }
      await store.write([{ type: "put", key, value }]);
    }
    await store.close();
  });

  for (const [which, gone, says] of [["in the middle", 2, /record 2 is missing/], ["at the end", 4, /up to 4 should be there, the last is 3/]] as const) {
    test(`a record that is missing ${which} is noticed`, async () => {
      await using fixture = await make();
      const store = await opened(fixture), journal = new Journal(store, "f/s/0");
      await journal.write(entries(1, 4));
      await store.write([{ type: "del", key: recordKey(gone) }]);
      assert.match(await broken(all(new Journal(store, "f/s/0"))), says);
      await store.close();
    });
  }

  test("the newest record is missing: noticed by who asks for it alone", async () => {
    await using fixture = await make();
    const store = await opened(fixture), journal = new Journal(store, "f/s/0");
    await journal.write(entries(1, 2));
    await store.write([{ type: "del", key: recordKey(2) }]);
    await broken(new Journal(store, "f/s/0").last());
    await store.close();
  });

  test("a record in another's place is noticed, though its CRC fits", async () => {
    await using fixture = await make();
    const store = await opened(fixture), journal = new Journal(store, "f/s/0");
    await journal.write(entries(1, 4));
    await store.write([{ type: "put", key: recordKey(2), value: store.get(recordKey(3)) as Uint8Array }]);
    await broken(all(new Journal(store, "f/s/0")));
    await store.close();
  });

  test("a head of other records is noticed: older, newer, or of another history", async () => {
    await using fixture = await make();
    const store = await opened(fixture), journal = new Journal(store, "f/s/0"), heads: Uint8Array[] = [];
    for (let n = 1; n <= 4; n++) {
      await journal.write([entry(n)]);
      heads.push(store.get(headKey) as Uint8Array);
    }
    const [, second, third, fourth] = heads as [Uint8Array, Uint8Array, Uint8Array, Uint8Array];
    
    // Each with a CRC that fits, as if it had been written so.
    const changed = (head: Uint8Array, change: (view: DataView) => void): Uint8Array => {
      const copy = Uint8Array.from(head), view = new DataView(copy.buffer);
      change(view);
      view.setUint32(20, crc32(copy.subarray(0, 20)));
      return copy;
    };
    for (const wrong of [changed(third, (v) => v.setUint8(7, 2)), changed(fourth, (v) => v.setUint8(7, 5)), changed(second, (v) => v.setUint32(16, 1))]) {
      await store.write([{ type: "put", key: headKey, value: wrong }]);
      await broken(all(new Journal(store, "f/s/0")));
    }
    await store.close();
  });

  test("records that a head does not cover are not read: a prefix of the log, whole batches", async () => {
    await using fixture = await make();
    const store = await opened(fixture), journal = new Journal(store, "f/s/0");
    await journal.write(entries(1, 2));
    const head = store.get(headKey) as Uint8Array;
    await journal.write([entry(3)]);
    await store.write([{ type: "put", key: headKey, value: head }]);
    assert.equal(await all(new Journal(store, "f/s/0")), entries(1, 2).map(shown));
    await store.close();
  });

  test.run();
}

journalTests("journal in memory", async () => ({ stores: new MemoryStores(), [Symbol.asyncDispose]: async () => {} }));
journalTests("journal in LevelDB", async () => {
  const folder = await temporaryFolder();
  return { stores: new LevelStores(folder.path), [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose]() };
});
