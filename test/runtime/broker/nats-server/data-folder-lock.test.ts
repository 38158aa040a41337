import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { lockDataFolder } from "../../../../runtime/broker/nats-server/data-folder-lock.ts";
import { pidSpace, startOf } from "../../../../runtime/broker/nats-server/process-identity.ts";
import { rejection } from "../../../support/rejection.ts";
import { temporaryFolder } from "../../../support/temporary-folder.ts";
import { within } from "../../../support/waiting.ts";

const test = suite("data-folder-lock");

/** The lock of a process that is not there any more: killed, or from before a reboot. */
async function leaveStale(folder: string, holder: Readonly<Record<string, unknown>> = {}): Promise<void> {
  await writeFile(join(folder, "run.lock"), JSON.stringify({ id: "gone", pid: process.pid, start: "another boot 1", space: await pidSpace(), ...holder }));
}

test("a second run on the folder is refused, and told who has it", async () => {
  await using folder = await temporaryFolder();
  const lock = await lockDataFolder(folder.path);
  const error = await rejection(lockDataFolder(folder.path));
  assert.is(error.code, "DATA_FOLDER_BUSY");
  assert.match(error.message, /another run of this process/);
  assert.match(error.remedy, /--data-dir/);
  await lock.release();
});

test("a released folder is free, and nothing of the lock is left in it", async () => {
  await using folder = await temporaryFolder();
  await (await lockDataFolder(folder.path)).release();
  assert.equal(await readdir(folder.path), []);
  const lock = await lockDataFolder(folder.path);
  await lock.release();
  await lock.release();
});

test("a folder that is not there is made", async () => {
  await using folder = await temporaryFolder();
  const lock = await lockDataFolder(join(folder.path, "a", "b"));
  assert.ok(existsSync(join(folder.path, "a", "b")));
  await lock.release();
});

test("the lock of a process that is gone is taken over, though its pid is another's by now", async () => {
  await using folder = await temporaryFolder();
  await leaveStale(folder.path);
  const lock = await lockDataFolder(folder.path);
  assert.is((await rejection(lockDataFolder(folder.path))).code, "DATA_FOLDER_BUSY");
  await lock.release();
  assert.equal(await readdir(folder.path), []);
});

test("a lock that was never written to its end is taken over", async () => {
  await using folder = await temporaryFolder();
  await writeFile(join(folder.path, "run.lock"), '{"id":');
  await (await lockDataFolder(folder.path)).release();
  assert.equal(await readdir(folder.path), []);
});

test("one that was killed in the middle of a take-over is no obstacle", async () => {
  await using folder = await temporaryFolder();
  await leaveStale(folder.path);
  await writeFile(join(folder.path, "run.lock.after-gone"), await readFile(join(folder.path, "run.lock")));
  await (await lockDataFolder(folder.path)).release();
  assert.equal(await readdir(folder.path), []);
});

test("of many that take over at once exactly one has it", async () => {
  for (let round = 0; round < 20; round++) {
    await using folder = await temporaryFolder();
    await leaveStale(folder.path);
    const taken = await Promise.allSettled(Array.from({ length: 8 }, () => lockDataFolder(folder.path)));
    const codes = taken.map((result) => (result.status === "fulfilled" ? "taken" : (result.reason as { code?: string }).code));
    assert.equal(codes.sort(), [...Array<string>(7).fill("DATA_FOLDER_BUSY"), "taken"]);
  }
});

test("the lock of another host or container is not judged, and the message says what to do", async () => {
  await using folder = await temporaryFolder();
  await leaveStale(folder.path, { space: "elsewhere" });
  const error = await rejection(lockDataFolder(folder.path));
  assert.is(error.code, "DATA_FOLDER_BUSY");
  assert.match(error.remedy, /delete .*run\.lock/);
});

test("a folder that cannot be written is said to be so", async () => {
  await using folder = await temporaryFolder();
  await writeFile(join(folder.path, "file"), "");
  assert.is((await rejection(lockDataFolder(join(folder.path, "file")))).code, "DATA_FOLDER_INVALID");
  assert.is((await rejection(lockDataFolder("/dev/null/inside"))).code, "DATA_FOLDER_INVALID");
});

test("the lock holds against another process while that lives, and is free once it was killed", async () => {
  await using folder = await temporaryFolder();
  const module = fileURLToPath(new URL("../../../../runtime/broker/nats-server/data-folder-lock.ts", import.meta.url));
  const script = `const { lockDataFolder } = await import(${JSON.stringify(module)}); await lockDataFolder(${JSON.stringify(folder.path)}); process.stdout.write("locked"); setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ["--import", "tsx", "--input-type=module", "-e", script], { stdio: ["ignore", "pipe", "inherit"] });
  try {
    await within(20_000, "the child has the lock", once(child.stdout, "data"));
    const error = await rejection(lockDataFolder(folder.path));
    assert.match(error.message, `process ${child.pid} has this data folder`);
  } finally {
    child.kill("SIGKILL");
    await within(10_000, "the child is gone", once(child, "exit"));
  }
  await (await lockDataFolder(folder.path)).release();
});

test("when a process began tells it from a later one of the same pid", async () => {
  const own = await startOf(process.pid);
  assert.ok(own);
  assert.is(await startOf(process.pid), own);
  assert.is.not(await startOf(1), own);
  assert.is(await startOf(2 ** 22 + 1), undefined);
});

test.run();
