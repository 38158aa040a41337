import { suite } from "uvu";
import * as assert from "uvu/assert";
import { ask, Questions } from "../../../runtime/node/questions.ts";
import { MemoryBroker } from "../../../runtime/testing/memory-broker.ts";
import { MemoryServer } from "../../../runtime/testing/memory-server.ts";
import { gate } from "../../support/gate.ts";
import { rejection } from "../../support/rejection.ts";

const test = suite("questions");

function world() {
  const server = new MemoryServer(), questions = new Questions("n1"), stop = questions.serve(new MemoryBroker(server));
  const broker = new MemoryBroker(server);
  return { questions, stop, broker, raw: (text: string) => broker.request("mr.inspect.n1", Buffer.from(text), 1_000) };
}

test("every node answers a ping", async () => assert.equal(await ask(world().broker, "n1", { what: "ping" }, 1_000), {}));

test("a question is answered by what was given for it, with its parameters", async () => {
  const { questions, broker } = world();
  questions.answer("sum", ({ a, b }) => Promise.resolve({ sum: (a as number) + (b as number) }));
  assert.equal(await ask(broker, "n1", { what: "sum", a: 1, b: 2 }, 1_000), { sum: 3 });
});

test("a node that has stopped answering is not there", async () => {
  const { stop, broker } = world();
  stop();
  assert.is((await rejection(ask(broker, "n1", { what: "ping" }, 1_000))).code, "NOT_FOUND");
});

for (const [what, text] of [["no JSON", "hello"], ["no object", "[1]"], ["null", "null"], ["without a question", '{"who":"me"}'], ["unknown", '{"what":"everything"}'], ["too long", `{"what":"ping","more":"${"x".repeat(20_000)}"}`]] as const) {
  test(`a request that is ${what} is refused and hurts nobody`, async () => {
    const { raw, broker } = world(), error = await rejection(raw(text));
    assert.is(error.code, "REQUEST_FAILED");
    assert.match(error.message, /QUESTION_UNKNOWN/);
    assert.equal(await ask(broker, "n1", { what: "ping" }, 1_000), {});
  });
}

test("more questions than it answers at a time are refused, not kept", async () => {
  const { questions, broker } = world(), opened = gate();
  questions.answer("slow", async () => { await opened.opened; return "done"; });
  const slow = Array.from({ length: 16 }, () => ask(broker, "n1", { what: "slow" }, 5_000));
  assert.match((await rejection(ask(broker, "n1", { what: "ping" }, 1_000))).message, /BUSY/);
  opened.open();
  assert.equal(new Set(await Promise.all(slow)), new Set(["done"]));
  assert.equal(await ask(broker, "n1", { what: "ping" }, 1_000), {});
});

test.run();
