import { fork, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, readdir, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { LevelStores } from "../../../runtime/journal/level-store.ts";
import type { Store } from "../../../runtime/journal/store.ts";
import { storeContract } from "../../contracts/store-contract.ts";
import { rejection } from "../../support/rejection.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { within } from "../../support/waiting.ts";

storeContract("level store: contract", async () => {
  const folder = await temporaryFolder();
  const opened: Store[] = [];
  const watched = (stores: LevelStores) => {
    const open = stores.open.bind(stores);
    stores.open = async (name) => {
      const store = await open(name);
      opened.push(store);
      return store;
    };
    return stores;
  };
  return {
    stores: watched(new LevelStores(folder.path)),
    other: () => watched(new LevelStores(folder.path)),
    failNextWrite(store) {
      const write = store.write.bind(store);
      store.write = (operations) => {
        store.write = write;
        return write([...operations, { type: "del", key: null as never }]);
      };
    },
    async [Symbol.asyncDispose]() {
      for (const store of opened) await store.close();
      await folder[Symbol.asyncDispose]();
    },
  };
});

const test = suite("level store: faults");
const bytes = (...values: number[]) => Uint8Array.from(values);
const put = (key: number, value: Uint8Array) => [{ type: "put" as const, key: bytes(key >> 8, key & 255), value }];
const child = fileURLToPath(new URL("../../support/store-child.ts", import.meta.url));
const node = ["--conditions=source", "--import", "tsx"];

async function count(store: Store): Promise<number> {
  let found = 0;
  for await (const _ of store.range(bytes(), bytes(255, 255))) found++;
  return found;
}

/** A process that has the store open. Says "open", "locked" or "failed …", then answers what it is told. */
async function otherProcess(folder: string, work: string) {
  const running = fork(child, [folder, "q/a", work], { execArgv: node, stdio: ["ignore", "inherit", "inherit", "ipc"] });
  const exited = once(running, "exit");
  const say = async () => (await within(20_000, "the other process's word", once(running, "message")))[0] as string;
  return {
    first: await say(),
    say,
    running,
    kill: async () => {
      running.kill("SIGKILL");
      await exited;
    },
  };
}

test("a store that another process has is JOURNAL_LOCKED for opening, removing and putting aside; a kill of that process frees it", async () => {
  await using folder = await temporaryFolder();
  const other = await otherProcess(folder.path, "hold");
  assert.is(other.first, "open");
  const stores = new LevelStores(folder.path);
  for (const call of [() => stores.open("q/a"), () => stores.remove("q/a"), () => stores.setAside("q/a")]) assert.is((await rejection(call())).code, "JOURNAL_LOCKED");
  await other.kill();
  const store = await stores.open("q/a");
  await store.close();
});

test("a second opening in the same process does not cost the first one its lock against others", async () => {
  await using folder = await temporaryFolder();
  const stores = new LevelStores(folder.path);
  const store = await stores.open("q/a");
  assert.is((await rejection(stores.open("q/a"))).code, "JOURNAL_LOCKED");
  assert.is((await rejection(new LevelStores(folder.path).open("q/a"))).code, "JOURNAL_LOCKED");
  assert.is((await rejection(stores.setAside("q/a"))).code, "JOURNAL_LOCKED");
  const other = await otherProcess(folder.path, "hold");
  assert.is(other.first, "JOURNAL_LOCKED");
  await other.kill();
  await store.close();
});

test("what a write resolved for survives a SIGKILL in the midst of writing, whole and in order", async () => {
  await using folder = await temporaryFolder();
  const other = await otherProcess(folder.path, "write");
  assert.is(other.first, "open");
  let written = 0;
  other.running.on("message", (message) => { if (typeof message === "number") written = message; });
  while (written < 300) await other.say();
  await other.kill();
  const store = await new LevelStores(folder.path).open("q/a");
  const found = await count(store);
  // Each write puts two entries.
  assert.ok(found >= 2 * written, `${written} writes were told, ${found} entries found`);
  assert.is(found % 2, 0);
  for (let i = 0; i < found / 2; i++) assert.is(store.get(bytes(i >> 8, i & 255))?.length, 1_000);
  await store.close();
});

test("a disk that takes no more fails the write and every later one; opened again, all that had been written is there", async () => {
  await using folder = await temporaryFolder();
  // The shell's limit on the size of a file, in blocks of 512 bytes: the child's writes fail beyond it, as on a full disk.
  const limited = spawn("sh", ["-c", 'ulimit -f 600 && exec "$@"', "sh", process.execPath, ...node, child, folder.path, "q/a", "fill"], { stdio: ["ignore", "pipe", "inherit"] });
  let said = "";
  limited.stdout.on("data", (chunk) => { said += chunk; });
  await within(30_000, "the limited process", once(limited, "exit"));
  const { written, codes } = JSON.parse(said) as { written: number; codes: string[] };
  assert.ok(written > 10);
  assert.equal(codes, ["JOURNAL_FAILED", "JOURNAL_FAILED", "JOURNAL_FAILED"]);
  const store = await new LevelStores(folder.path).open("q/a");
  assert.ok((await count(store)) >= written);
  for (let i = 0; i < written; i++) assert.is(store.get(bytes(i >> 8, i & 255))?.length, 10_000);
  await store.write(put(9_999, bytes(1)));
  await store.close();
});

test("a store that cannot be read any more is JOURNAL_CORRUPT, can be put aside, what is left of it is salvaged, and a new one takes its place", async () => {
  await using folder = await temporaryFolder();
  const stores = new LevelStores(folder.path);
  const store = await stores.open("q/a");
  await store.write(put(1, bytes(1)));
  const before = store.get(bytes(0, 1));
  assert.ok(before);
  await store.close();
  const manifest = (await readdir(join(folder.path, "q/a"))).find((file) => file.startsWith("MANIFEST")) as string;
  await truncate(join(folder.path, "q/a", manifest), 0);
  const failed = await rejection(stores.open("q/a"));
  assert.is(failed.code, "JOURNAL_CORRUPT");
  assert.is(await stores.exists("q/a"), true);
  assert.is(await stores.setAside("q/a"), "q/a.broken-1");
  const left = await stores.salvage("q/a.broken-1");
  assert.equal(left.get(bytes(0, 1)), before);
  await left.close();
  const next = await stores.open("q/a");
  assert.is(next.get(bytes(0, 1)), undefined);
  await next.close();
});

test("a folder that cannot be made is JOURNAL_FAILED", async () => {
  await using folder = await temporaryFolder();
  await mkdir(join(folder.path, "data"));
  await writeFile(join(folder.path, "data/q"), "a file");
  assert.is((await rejection(new LevelStores(join(folder.path, "data")).open("q/a"))).code, "JOURNAL_FAILED");
});

test("a range that is left alone does not hinder closing", async () => {
  await using folder = await temporaryFolder();
  const store = await new LevelStores(folder.path).open("q/a");
  for (let i = 0; i < 10; i++) await store.write(put(i, bytes(i)));
  store.range(bytes(), bytes(255));
  const begun = store.range(bytes(), bytes(255))[Symbol.asyncIterator]();
  await begun.next();
  await within(5_000, "closing", store.close());
});

test.run();
