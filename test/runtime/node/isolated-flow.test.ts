// test deadline: 120 s
// Which flows can have stages in threads of their own, in a program that starts its node itself.
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { collect, generate, map } from "../../../actors/index.ts";
import { defineFlow, MillraceError, startNode } from "../../../runtime/index.ts";
import { packed, unpacked } from "../../../runtime/node/thread-message.ts";
import { UnavailableError } from "../../../runtime/event/errors.ts";
import { ownThread, seen } from "../../support/flows/own-thread.ts";
import { startNatsServer } from "../../support/nats-server.ts";
import { rejection } from "../../support/rejection.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { TwinWorld } from "../../support/twin-node.ts";
import { within } from "../../support/waiting.ts";

const test = suite("isolated-flow");

test("a flow that names its module runs a stage in threads of its own, the others in the node's", async () => {
  await using folder = await temporaryFolder();
  await using server = await startNatsServer();
  await using node = await startNode({ dataDir: folder.path, nats: { servers: server.servers, user: server.user, pass: server.pass, sync: "always" }, flows: [ownThread] });
  await within(60_000, "the end", node.done);
  assert.equal(seen.map(({ n }) => n), Array.from({ length: 20 }, (_, n) => n));
  assert.ok(seen.every(({ thread }) => thread !== 0));
});

test("one that was made in the program and names none is refused at its start, before anything is begun", async () => {
  await using twin = await TwinWorld.make();
  const inline = defineFlow("inline", (flow) => { flow.sink("out", flow.processor("each", flow.source("feed", generate({ count: 1, make: (n) => n })), { isolate: "worker" }, map((n) => n)), collect<number>([])); });
  const error = await rejection(twin.start([inline]));
  assert.equal([error.code, error.where], ["MODULE_MISSING", "inline/each"]);
  assert.equal([...twin.server.streams.keys()].filter((name) => name.startsWith("mr_")), []);
  assert.is((await rejection(twin.start([ownThread]))).code, "CONNECTION_MISSING");
});

test("a sink cannot be isolated, nor by anything but a worker", () => {
  const refused = (stage: "each" | "out", isolate: unknown): string => {
    try {
      defineFlow("f", (flow) => {
        const options = (name: string) => (name === stage ? { isolate: isolate as "worker" } : {});
        flow.sink("out", flow.processor("each", flow.source("feed", generate({ count: 1, make: (n) => n })), options("each"), map((n) => n)), options("out") as object, collect<number>([]));
      });
      return "";
    } catch (error) {
      return (error as MillraceError).problems.map(({ code, message }) => `${code} ${message}`).join();
    }
  };
  assert.match(refused("out", "worker"), /OPTION_UNKNOWN sink "out" has no option "isolate"/);
  assert.match(refused("each", "process"), /OPTION_INVALID isolate of "each" is "process"/);
  assert.is(refused("each", "worker"), "");
});

test("errors are the same on the other side of a thread", () => {
  const error = unpacked(structuredClone(packed(new MillraceError("X", "f/a/0", "It broke", "Mend it."))));
  assert.ok(error instanceof MillraceError);
  assert.equal([error.code, error.where, error.remedy, error.message, error.name], ["X", "f/a/0", "Mend it.", "It broke (X, f/a/0). Mend it.", "MillraceError"]);
  const away = unpacked(structuredClone(packed(new UnavailableError("away", { retryAfter: "5s" }))));
  assert.ok(away instanceof UnavailableError);
  assert.is(away.retryAfter, "5s");
  assert.match(unpacked(packed(new TypeError("no"))).name, /TypeError/);
});

test.run();
