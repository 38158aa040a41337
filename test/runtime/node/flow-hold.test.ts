// A node's part in a repair: what it holds closed, and gives of its journals; and that a copy of them is the journal, entry by entry.
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { systemClock } from "../../../runtime/event/clock.ts";
import { MillraceError } from "../../../runtime/event/errors.ts";
import type { Term } from "../../../runtime/event/term.ts";
import { Journal, wholeRecords } from "../../../runtime/journal/journal.ts";
import { encodeRecord } from "../../../runtime/journal/record.ts";
import { answerHolds, FlowHolds, holdMs } from "../../../runtime/node/flow-hold.ts";
import { Questions, operateSubject } from "../../../runtime/node/questions.ts";
import { RunNotes } from "../../../runtime/node/run-note.ts";
import { HeldNodes } from "../../../runtime/repair/held-nodes.ts";
import { ManualClock } from "../../../runtime/testing/manual-clock.ts";
import { MemoryBroker } from "../../../runtime/testing/memory-broker.ts";
import { MemoryServer } from "../../../runtime/testing/memory-server.ts";
import { MemoryDisk, MemoryStores } from "../../../runtime/testing/memory-store.ts";
import { rejection } from "../../support/rejection.ts";

const test = suite("flow hold");
const name = "quakes/sums/token000-1/0", term: Term = [1, new Uint8Array(8)];

class Case implements AsyncDisposable {
  now = 0;
  readonly closed: string[] = [];
  readonly opened: string[] = [];
  readonly broker = new MemoryBroker(new MemoryServer({ maxPayload: 400_000 }));
  readonly stores = new MemoryStores(new MemoryDisk());
  readonly holds: FlowHolds;
  readonly #end: () => void;

  constructor() {
    const clock = { ...systemClock, monotonic: () => this.now }, { broker, stores } = this, orders = new Questions("n1", operateSubject("n1"));
    this.holds = new FlowHolds({
      node: "n1", broker, clock, stores, notes: new RunNotes(new MemoryStores(new MemoryDisk())),
      close: (flow) => { this.closed.push(flow); return Promise.resolve(); }, open: (flow) => void this.opened.push(flow),
    });
    answerHolds({ name: "n1", orders } as never, this.holds);
    this.#end = orders.serve(broker);
  }

  /** Records of these sizes, and state that no repair asks for. */
  async journal(sizes: readonly number[]): Promise<void> {
    const store = await this.stores.open(name), journal = new Journal(store, name);
    for (const [at, size] of sizes.entries()) await journal.write([{ n: at + 1, seq: at + 1, bytes: encodeRecord({ kind: "turn", n: at + 1, term, previous: at, code: "c", body: { out: [["mr.dead.quakes.sums.token000-1.0", at + 1, new Uint8Array(size).fill(at)]] } }) }]);
    await store.write([journal.foldedMark(1, {}), { type: "put", key: Buffer.from("skey"), value: new Uint8Array(1_000) }]);
    await store.close();
  }

  held(by: string, copies = new MemoryStores(new MemoryDisk())): Promise<HeldNodes> {
    return HeldNodes.hold("quakes", ["n1", "n2"], { broker: this.broker, clock: systemClock, by, copies: () => copies, say: () => {} });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#end();
    await this.broker.close();
  }
}

test("a copy is the journal, entry by entry, whatever its records measure; who is not there is named, state is not asked for", async () => {
  await using its = new Case();
  await its.journal([10, 350_000, 200_000, 5, 399_000, 1, 120_000, 120_000, 120_000]);
  const copies = new MemoryStores(new MemoryDisk());
  await using held = await its.held("me", copies);
  assert.equal([held.names, held.away.map(({ node }) => node)], [["n1"], ["n2"]]);
  const [journals] = held.journals;
  assert.is(await journals?.stores.exists(name), true);
  assert.is(await journals?.stores.exists("quakes/sums/token000-1/1"), false);
  const copy = await journals?.stores.open(name), store = await its.stores.open(name), all = async (of: typeof store): Promise<unknown[]> => {
    const found: unknown[] = [];
    for await (const { n, seq, crc } of wholeRecords(of)) found.push([n, seq, crc]);
    return found;
  };
  assert.equal(await all(copy as typeof store), await all(store));
  assert.is((await all(store)).length, 9);
  assert.equal([new Journal(copy as typeof store, name).head, new Journal(copy as typeof store, name).folded()], [new Journal(store, name).head, new Journal(store, name).folded()]);
  assert.is(copy?.get(Buffer.from("skey")), undefined);
  await store.close();
});

test("while it is held it is closed, once; let go it is opened; nobody else holds it meanwhile", async () => {
  await using its = new Case();
  {
    await using _ = await its.held("me");
    await its.holds.hold("quakes", "me");
    assert.equal([its.closed, its.opened, its.holds.isHeld("quakes")], [["quakes"], [], true]);
    assert.is((await rejection(its.held("another"))).code, "UNDER_REPAIR");
    await its.holds.letGo("quakes", "another", false);
    assert.ok(its.holds.isHeld("quakes"));
  }
  assert.equal([its.opened, its.holds.isHeld("quakes")], [["quakes"], false]);
});

test("a hold that is not asked for again ends by itself; journals are given to who holds the flow, of that flow alone", async () => {
  await using its = new Case();
  await its.journal([10]);
  assert.is((await rejection(its.holds.journal("quakes", "me", name, undefined))).code, "NOT_HELD");
  await its.holds.hold("quakes", "me");
  assert.is((await rejection(its.holds.journal("quakes", "me", "others/sums/token000-1/0", undefined))).code, "NOT_HELD");
  assert.is((await rejection(its.holds.journal("quakes", "me", "quakes/../others", undefined))).code, "JOURNAL_NAME");
  its.now = holdMs - 1;
  assert.ok((await its.holds.journal("quakes", "me", name, undefined)).isThere);
  its.now += holdMs - 1;
  assert.ok(its.holds.isHeld("quakes"), "each question prolongs it");
  its.now += 2;
  assert.not.ok(its.holds.isHeld("quakes"));
  await its.holds.hold("quakes", "another");
});

test("a flow whose repair was killed is opened again when its hold has ended, by nobody's question", async () => {
  const clock = new ManualClock(), opened: string[] = [];
  const holds = new FlowHolds({ node: "n1", broker: new MemoryBroker(new MemoryServer()), clock, stores: new MemoryStores(new MemoryDisk()), notes: new RunNotes(new MemoryStores(new MemoryDisk())), close: () => Promise.resolve(), open: (flow) => void opened.push(flow) });
  await holds.hold("quakes", "me");
  await clock.elapse(holdMs / 2);
  await holds.hold("quakes", "me");
  await clock.elapse(holdMs - 1_000);
  assert.equal([opened, holds.isHeld("quakes")], [[], true]);
  await clock.elapse(2_000);
  assert.equal([opened, holds.isHeld("quakes")], [["quakes"], false]);
});

test("who asks again while it is being closed waits for that; what cannot be closed is not held", async () => {
  let finish = (): void => {}, fail = (_: Error): void => {};
  const opened: string[] = [], holds = new FlowHolds({
    node: "n1", broker: new MemoryBroker(new MemoryServer()), clock: new ManualClock(), stores: new MemoryStores(new MemoryDisk()), notes: new RunNotes(new MemoryStores(new MemoryDisk())),
    close: () => new Promise((resolve, reject) => { [finish, fail] = [resolve, reject]; }), open: (flow) => void opened.push(flow),
  });
  let isHeld = false;
  const first = holds.hold("quakes", "me"), again = holds.hold("quakes", "me").then(() => { isHeld = true; });
  await Promise.resolve();
  assert.is(isHeld, false);
  finish();
  await Promise.all([first, again]);
  await holds.letGo("quakes", "me", false);
  const refused = rejection(holds.hold("quakes", "me"));
  fail(new MillraceError("NOT_RUNNING", "quakes", "w", "r"));
  assert.is((await refused).code, "NOT_RUNNING");
  assert.equal([holds.isHeld("quakes"), opened], [false, ["quakes", "quakes"]]);
});

test.run();
