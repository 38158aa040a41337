// Whoever pauses between two operations on the file system, for however long: the result is whole (P28, F3).
// test deadline: 300 s
import * as fs from "node:fs/promises";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { type FileMark, fileSink } from "../../actors/file-sink.ts";
import type { Files } from "../../actors/result-file.ts";
import { gate } from "../support/gate.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { batch, generation, type Session, session } from "./writing.ts";

const test = suite("result-file");

/** Syncs to the disk are left out: they change nothing that a process sees. */
const quick = {
  ...fs,
  async open(path: string, flags: string | number) {
    const file = await fs.open(path, typeof flags === "number" ? flags & ~fs.constants.O_DSYNC : flags);
    return Object.assign(file, { sync: async () => {}, datasync: async () => {} });
  },
} as unknown as Files;

const lines = { encode: (events: readonly { data: string }[]) => ({ text: events.map((event) => `${event.data}\n`).join("") }) };

/** A file system that stands still before operation `at`, counted from 0 and from `begin` on, until it is let on. Writes to an open file count, too. */
function pausing(at: number) {
  const reached = gate();
  const letOn = gate();
  let count = Number.NEGATIVE_INFINITY;
  const operation = async <T>(run: () => Promise<T>): Promise<T> => {
    if (count++ === at) {
      reached.open();
      await letOn.opened;
    }
    return run();
  };
  const paused = (target: object): object => new Proxy(target, {
    get(of, name) {
      const value = Reflect.get(of, name);
      if (typeof value !== "function") return value;
      return (...args: unknown[]) => operation(async () => {
        const result: unknown = await value.apply(of, args);
        return typeof result === "object" && result !== null && "datasync" in result ? paused(result) : result;
      });
    },
  });
  return { files: paused(quick) as Files, reached: reached.opened, letOn: () => letOn.open(), begin: () => { count = 0; } };
}

const mark = (of: string, batches: number): FileMark => (batches === 0 ? { offset: 0 } : { offset: batches * `${of}, batch 1\n`.length, generation: of });
const result = (of: string) => [1, 2].map((n) => `${of}, batch ${n}\n`).join("");

function opened(files: Files, path: string, of: string, known: number): Promise<Session> {
  return session(fileSink("text", path, lines, files), { generation: of, last: { batch: known, mark: mark(of, known) } });
}

/** One life of the sink, from what the journal knows up to the given batch, or to the end. */
async function life(files: Files, path: string, of: string, known: number, to: number | "end"): Promise<void> {
  await using sink = await opened(files, path, of, known);
  for (let n = known + 1; n <= (to === "end" ? 2 : to); n++) await sink.write(batch(n, `${of}, batch ${n}`));
  if (to === "end") await sink.finish?.();
}

/**
 * What a zombie may still have to do: one call, for which it had the log when it was fenced. Its sink was opened before its
 * successor's; or the call is to open it, with nothing after it.
 */
interface Pending {
  readonly what: string;
  /** Batches that the journal knows to be written, to the zombie and to its successor. */
  readonly known: number;
  readonly prepare: (files: Files, path: string, of: string) => Promise<Session | undefined>;
  readonly call: (sink: Session | undefined, files: Files, path: string, of: string) => Promise<unknown>;
}

const write = (n: number): Pending => ({
  what: `batch ${n} to write`, known: n - 1,
  prepare: (files, path, of) => opened(files, path, of, n - 1),
  call: async (sink, _files, _path, of) => sink?.write(batch(n, `${of}, batch ${n}`)),
});
const open = (known: number): Pending => ({
  what: `to open, with ${known} batches written`, known,
  prepare: async () => undefined,
  call: (_sink, files, path, of) => opened(files, path, of, known).then((sink) => sink.close?.()),
});
const finish: Pending = { what: "to finish", known: 2, prepare: (files, path, of) => opened(files, path, of, 2), call: async (sink) => sink?.finish?.() };
const pendings = [open(0), write(1), open(1), write(2), finish, open(2)];

const earlier = { nothing: async () => {}, "a result": (path: string) => fs.writeFile(path, "old\n"), "half a result": (path: string) => life(quick, path, "older000-1", 0, 1) };
const next = "nextrun0-1";

/** The zombie comes to its call and stands still before operation `at` of it. False: the call is over before. */
async function zombie(pending: Pending, path: string, at: number) {
  if (pending.known > 0) await life(quick, path, generation, 0, pending.known);
  const pause = pausing(at);
  const sink = await pending.prepare(pause.files, path, generation);
  pause.begin();
  // What a zombie is told in the end is its own affair.
  const late = pending.call(sink, pause.files, path, generation).catch(() => {}).then(() => sink?.close?.());
  const reached = await Promise.race([pause.reached.then(() => true), late.then(() => false)]);
  return { reached, goOn: () => { pause.letOn(); return late; } };
}

async function isWhole(path: string, of: string, about: string): Promise<void> {
  assert.ok((await fs.lstat(path)).isFile(), about);
  assert.is(await fs.readFile(path, "utf8"), result(of), about);
}

for (const [there, before] of Object.entries(earlier)) {
  for (const pending of pendings) {
    test(`over ${there}: a zombie with ${pending.what} that pauses anywhere in it, until the run or the next one is over, does no harm`, async () => {
      for (const successors of ["same", "next", "same and next"]) {
        for (let at = 0, reached = true; reached; at++) {
          await using folder = await temporaryFolder();
          const path = join(folder.path, "out.txt");
          await before(path);
          const paused = await zombie(pending, path, at);
          ({ reached } = paused);
          if (successors !== "next") await life(quick, path, generation, pending.known, "end");
          if (successors !== "same") await life(quick, path, next, 0, "end");
          const winner = successors === "same" ? generation : next;
          await isWhole(path, winner, `${successors} over, before operation ${at}`);
          await paused.goOn();
          await isWhole(path, winner, `${successors} over, after operation ${at}`);
          // As after a crash before the end was recorded.
          if (successors === "same") await life(quick, path, generation, 2, "end");
          await isWhole(path, winner, `${successors} over, again after operation ${at}`);
        }
      }
    });

    test(`over ${there}: a crash anywhere with ${pending.what} costs nothing, and leaves nothing behind`, async () => {
      for (let at = 0, reached = true; reached; at++) {
        await using folder = await temporaryFolder();
        const path = join(folder.path, "out.txt");
        await before(path);
        const crashed = await zombie(pending, path, at);
        ({ reached } = crashed);
        for (const successor of [generation, next]) {
          await life(quick, path, successor, successor === generation ? pending.known : 0, "end");
          await isWhole(path, successor, `crash at ${at}`);
          assert.equal(await fs.readdir(folder.path), ["out.txt"], `crash at ${at}`);
        }
        await crashed.goOn();
      }
    });

    test(`over ${there}: a run that was given up anywhere with ${pending.what} leaves nothing behind when the next one is over`, async () => {
      for (let at = 0, reached = true; reached; at++) {
        await using folder = await temporaryFolder();
        const path = join(folder.path, "out.txt");
        await before(path);
        const gone = await zombie(pending, path, at);
        ({ reached } = gone);
        await life(quick, path, next, 0, "end");
        await isWhole(path, next, `given up at ${at}`);
        assert.equal(await fs.readdir(folder.path), ["out.txt"], `given up at ${at}`);
        await gone.goOn();
      }
    });
  }
}

for (const pending of [write(1), write(2), finish]) {
  for (const [whose, successor] of [["its own run", generation], ["the next run", next]] as const) {
    test(`a zombie with ${pending.what} that pauses anywhere in it, and goes on anywhere in the work of ${whose}, does no harm`, async () => {
      for (let at = 0, reached = true; reached; at++) {
        for (let then = 0, also = true; also; then++) {
          await using folder = await temporaryFolder();
          const path = join(folder.path, "out.txt");
          await earlier["a result"](path);
          const paused = await zombie(pending, path, at);
          ({ reached } = paused);
          const pause = pausing(then);
          pause.begin();
          const work = life(pause.files, path, successor, successor === generation ? pending.known : 0, "end");
          also = await Promise.race([pause.reached.then(() => true), work.then(() => false)]);
          await paused.goOn();
          pause.letOn();
          await work;
          await isWhole(path, successor, `zombie at ${at}, owner at ${then}`);
        }
      }
    });
  }
}

test("two zombies with the first batch to write, each anywhere in it, do no harm", async () => {
  for (let i = 0, reached = true; reached; i++) {
    for (let j = 0, also = true; also; j++) {
      await using folder = await temporaryFolder();
      const path = join(folder.path, "out.txt");
      await earlier["a result"](path);
      const first = await zombie(write(1), path, i);
      const second = await zombie(write(1), path, j);
      reached = first.reached;
      also = second.reached;
      await life(quick, path, generation, 0, "end");
      await first.goOn();
      await second.goOn();
      await isWhole(path, generation, `zombies at ${i} and ${j}`);
    }
  }
});

test.run();
