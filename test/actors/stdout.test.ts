import { spawnSync } from "node:child_process";
import { Writable } from "node:stream";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { stdout, streamSink } from "../../actors/stdout.ts";
import { type RepeatingSink, sinkOf } from "../../runtime/flow/sink.ts";
import { silent } from "./reading.ts";
import { batch, generation } from "./writing.ts";

const test = suite("stdout");
const open = (sink: ReturnType<typeof stdout>) =>
  (sinkOf(sink) as RepeatingSink<unknown>).open({ actor: "flow/print/0", partition: 0, generation, signal: new AbortController().signal, log: silent });

class Kept extends Writable {
  text = "";
  fault: string | undefined;
  override _write(chunk: Buffer, _encoding: string, done: (error?: Error) => void): void {
    if (this.fault === undefined) this.text += chunk.toString();
    done(this.fault === undefined ? undefined : Object.assign(new Error(this.fault), { code: this.fault }));
  }
}

test("a text is printed as it is, all else as one line of JSON", async () => {
  const to = new Kept();
  const sink = await open(streamSink(() => to));
  await sink.write(batch<unknown>(1, "a text", { a: "x\ny" }, 5n));
  await sink.write(batch(2));
  await sink.write(batch(3, null));
  await sink.close?.();
  assert.is(to.text, 'a text\n{"a":"x\\ny"}\n"5"\nnull\n');
});

test("when nobody reads any more the rest is dropped quietly, by the next life of the actor, too", async () => {
  const to = new Kept();
  to.fault = "EPIPE";
  for (let life = 0; life < 2; life++) {
    const sink = await open(streamSink(() => to));
    await sink.write(batch(1, "a"));
    await sink.write(batch(2, "b"));
    await sink.close?.();
  }
  assert.is(to.text, "");
  assert.is(to.destroyed, true);
});

test("another failure is told", async () => {
  const to = new Kept();
  to.fault = "EIO";
  const sink = await open(streamSink(() => to));
  let thrown: unknown;
  await sink.write(batch(1, "a")).catch((error: unknown) => { thrown = error; });
  assert.is((thrown as NodeJS.ErrnoException).code, "EIO");
  await sink.close?.();
});

test("a closed sink leaves no listener behind", async () => {
  const to = new Kept();
  for (let i = 0; i < 20; i++) {
    const sink = await open(streamSink(() => to));
    await sink.close?.();
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.is(to.listenerCount("error"), 0);
});

test("behind head the process prints what is asked for, and ends by itself without an error", () => {
  const program = fileURLToPath(new URL("print-numbers.ts", import.meta.url));
  const { stdout: printed, stderr, status } = spawnSync("bash", ["-c", '"$@" | head -n 3; exit $PIPESTATUS', "bash", process.execPath, "--conditions=source", "--import", "tsx", program], { encoding: "utf8", timeout: 60_000 });
  assert.is(status, 0, stderr);
  assert.is(printed, '{"n":0}\n{"n":1}\n{"n":2}\n');
  assert.is(stderr, "done\n");
});

test("it promises no more than it keeps", () => {
  const { kind, guarantee } = sinkOf(stdout()) as RepeatingSink<unknown>;
  assert.equal({ kind, guarantee }, { kind: "stdout", guarantee: "at-least-once" });
});

test.run();
