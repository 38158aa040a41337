import { suite } from "uvu";
import * as assert from "uvu/assert";
import { MillraceError } from "../../../runtime/event/errors.ts";
import type { Store, Stores } from "../../../runtime/journal/store.ts";
import { MemoryDecisionLog, StoredDecisionLog } from "../../../runtime/supervision/decision-log.ts";
import { decisionOf, kept, reasonOf, type Decision, type DecisionLog } from "../../../runtime/supervision/decision.ts";
import { MemoryDisk, MemoryStores } from "../../../runtime/testing/memory-store.ts";

const test = suite("decision-log");
const decision = (offender: string, restarts: number): Decision =>
  decisionOf({ at: 1_700_000_000_000 + restarts, supervisor: "f/s", context: "run", reason: { class: "crash", message: "Error: ü boom" }, offender, action: "restart", restarts }, "k3v9x2ab", { delayMs: 230, siblings: ["f/s/1"] });

/** Stores whose writes fail while `failing` says so; a store that failed once fails for ever, as the port says. */
class FailingStores implements Stores {
  readonly #stores: Stores;
  failing: "no" | "before" | "after" = "no";
  opened = 0;

  constructor(stores: Stores) {
    this.#stores = stores;
  }

  async open(name: string): Promise<Store> {
    this.opened++;
    const store = await this.#stores.open(name);
    let broken = false;
    const fail = (): never => {
      broken = true;
      throw new MillraceError("JOURNAL_FAILED", name, "no space left", "Make room.");
    };
    return {
      get: (key) => store.get(key),
      range: (gte, lt, options) => (broken ? fail() : store.range(gte, lt, options)),
      close: () => store.close(),
      write: async (operations) => {
        if (broken || this.failing === "before") fail();
        await store.write(operations);
        if (this.failing === "after") fail();
      },
    };
  }

  exists(name: string): Promise<boolean> {
    return this.#stores.exists(name);
  }
  remove(name: string): Promise<void> {
    return this.#stores.remove(name);
  }
  setAside(name: string): Promise<string> {
    return this.#stores.setAside(name);
  }
}

const makers: readonly (readonly [string, () => DecisionLog])[] = [
  ["in memory", () => new MemoryDecisionLog()],
  ["on a store", () => new StoredDecisionLog(new MemoryStores(new MemoryDisk()), "supervision")],
];
for (const [name, make] of makers) {
  test(`${name}: what was appended is read back whole, oldest first, each offender by itself`, async () => {
    const log = make(), first = decision("f/s/0", 1), second = decision("f/s/0", 2), other = decision("f/s/01", 1);
    for (const one of [first, other, second]) await log.append(one);
    assert.equal(await log.read("f/s/0"), [first, second]);
    assert.equal(await log.read("f/s/01"), [other]);
    assert.equal(await log.read("f/s"), []);
  });

  test(`${name}: the newest ${kept} are kept`, async () => {
    const log = make();
    for (let i = 1; i <= kept + 30; i++) await log.append(decision("f/s/0", i));
    assert.equal((await log.read("f/s/0")).map(({ restarts }) => restarts), Array.from({ length: kept }, (_, i) => i + 31));
  });

  test(`${name}: the same decision handed in again is stored once`, async () => {
    const log = make(), one = decision("f/s/0", 1);
    for (let i = 0; i < 3; i++) await log.append(one);
    assert.is((await log.read("f/s/0")).length, 1);
  });

  test(`${name}: appends that are under way together are all stored`, async () => {
    const log = make();
    await Promise.all(["f/s/0", "f/s/1", "f/s/0", "f/s/0"].map((offender, i) => log.append(decision(offender, i))));
    assert.equal((await log.read("f/s/0")).map(({ restarts }) => restarts), [0, 2, 3]);
  });
}

test("decisions outlive the process, and those of the next one follow them", async () => {
  const disk = new MemoryDisk(), first = new StoredDecisionLog(new MemoryStores(disk), "supervision");
  await first.append(decision("f/s/0", 1));
  await first.close();
  const next = new StoredDecisionLog(new MemoryStores(disk), "supervision");
  await next.append(decision("f/s/0", 2));
  assert.equal((await next.read("f/s/0")).map(({ restarts }) => restarts), [1, 2]);
});

for (const failing of ["before", "after"] as const) {
  test(`a write that fails ${failing} it was stored is reported; handed in again after the store is mended, it is stored once`, async () => {
    const stores = new FailingStores(new MemoryStores(new MemoryDisk())), log = new StoredDecisionLog(stores, "supervision"), one = decision("f/s/0", 2);
    await log.append(decision("f/s/0", 1));
    stores.failing = failing;
    for (let i = 0; i < 2; i++) assert.is(await log.append(one).then(() => "stored", (error: MillraceError) => error.code), "JOURNAL_FAILED");
    stores.failing = "no";
    await log.append(one);
    await log.append(decision("f/s/0", 3));
    assert.equal((await log.read("f/s/0")).map(({ restarts }) => restarts), [1, 2, 3]);
    assert.is(stores.opened, 3);
  });
}

test("a store that another process holds is an error each time, until it is free", async () => {
  const disk = new MemoryDisk(), holder = await new MemoryStores(disk).open("supervision"), log = new StoredDecisionLog(new MemoryStores(disk), "supervision"), one = decision("f/s/0", 1);
  for (let i = 0; i < 2; i++) assert.is(await log.append(one).then(() => "stored", (error: MillraceError) => error.code), "JOURNAL_LOCKED");
  await holder.close();
  await log.append(one);
  assert.is((await log.read("f/s/0")).length, 1);
});

test("an entry that cannot be read is passed over, the others are given", async () => {
  const disk = new MemoryDisk(), log = new StoredDecisionLog(new MemoryStores(disk), "supervision");
  for (let i = 1; i <= 4; i++) await log.append(decision("f/s/0", i));
  await log.close();
  const store = await new MemoryStores(disk).open("supervision"), entries: Uint8Array[] = [];
  for await (const [key] of store.range(Buffer.from("d"), Buffer.from("e"))) entries.push(key);
  await store.write([{ type: "put", key: entries[1] as Uint8Array, value: Buffer.from("{torn") }, { type: "put", key: entries[2] as Uint8Array, value: Buffer.from('{"at":"soon"}') }]);
  await store.close();
  assert.equal((await new StoredDecisionLog(new MemoryStores(disk), "supervision").read("f/s/0")).map(({ restarts }) => restarts), [1, 4]);
});

test("a reason is of bounded size, whatever was thrown, and names the causes", () => {
  const loop = new Error("x".repeat(1e6));
  loop.cause = loop;
  const reason = reasonOf({ class: "crash", error: loop, event: "e".repeat(1e5) });
  assert.ok(JSON.stringify(reason).length < 6_000);
  assert.equal(reasonOf({ class: "crash", error: new Error("outer", { cause: new TypeError("inner") }) }).stack?.at(-1), "caused by TypeError: inner");
  assert.equal(reasonOf({ class: "fenced" }), { class: "fenced", message: "fenced" });
  assert.is(reasonOf({ class: "crash", error: Object.assign(new Error("no"), { code: "ECONNREFUSED" }) }).code, "ECONNREFUSED");
});

test("each decision reads as a sentence", () => {
  const words = (action: Decision["action"], more: object = {}, event?: string): string =>
    decisionOf({ ...decision("f/s/0", 1), action, reason: { class: "crash", message: "", ...(event === undefined ? {} : { event }) } }, undefined, more).decision;
  assert.is(words("restart", { delayMs: 230 }), "restart in 230 ms");
  assert.is(words("restart", { delayMs: 0, siblings: ["a", "b", "c", "d", "e"] }), "restart in 0 ms, with 5 siblings");
  assert.is(words("dead-letter", {}, "f/a/0 #7[3]"), "give up f/a/0 #7[3] as a dead letter");
  assert.equal((["leave", "yield", "park", "escalate", "kill", "start", "stop"] as const).map((action) => words(action)), ["leave it stopped", "leave it to its new owner", "park it until a person has looked", "escalate", "kill it", "start it", "stop it"]);
});

test.run();
