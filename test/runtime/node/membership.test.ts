import { suite } from "uvu";
import * as assert from "uvu/assert";
import { join, leave, readNodes } from "../../../runtime/node/membership.ts";
import { MemoryBroker } from "../../../runtime/testing/memory-broker.ts";
import { ManualClock } from "../../../runtime/testing/manual-clock.ts";
import { MemoryServer } from "../../../runtime/testing/memory-server.ts";
import { MillraceError } from "../../../runtime/event/errors.ts";
import { rejection } from "../../support/rejection.ts";

const test = suite("membership");

const keys = () => new MemoryBroker(new MemoryServer()).keys;
const all = () => Promise.resolve(true);
const names = async (of: ReturnType<typeof keys>) => (await readNodes(of)).map(({ name }) => name);

test("nodes that join are known until they leave", async () => {
  const of = keys();
  await join(of, { name: "a", since: 1 }, all);
  await join(of, { name: "b", since: 2 }, all);
  assert.equal(await readNodes(of), [{ name: "a", since: 1 }, { name: "b", since: 2 }]);
  await leave(of, { name: "a", since: 9 });
  assert.equal(await names(of), ["a", "b"], "that is another node of its name");
  await leave(of, { name: "a", since: 1 });
  assert.equal(await names(of), ["b"]);
});

test("who joins removes those that are gone, and an older self", async () => {
  const of = keys();
  for (const name of ["a", "killed", "c"]) await join(of, { name, since: 1 }, all);
  await join(of, { name: "c", since: 9 }, (node) => Promise.resolve(node !== "killed"));
  assert.equal(await readNodes(of), [{ name: "a", since: 1 }, { name: "c", since: 9 }]);
});

test("many that join at the same time are all known", async () => {
  const of = keys(), nodes = Array.from({ length: 40 }, (_, n) => `n${n}`).sort();
  await Promise.all(nodes.map((name) => join(of, { name, since: 1 }, all)));
  assert.equal((await names(of)).sort(), nodes);
});

test("who joins while the keys cannot be asked tries again for a while", async () => {
  const of = keys(), clock = new ManualClock();
  let asked = 0;
  const away = { get: (key: string) => (++asked < 4 ? Promise.reject(new MillraceError("UNREACHABLE", key, "no answer", "")) : of.get(key)), set: of.set.bind(of) };
  const joined = join(away, { name: "a", since: 1 }, all, clock);
  await clock.elapse(1_000);
  await joined;
  assert.equal([asked > 4, await names(of)], [true, ["a"]]);
  const never = { ...away, get: (key: string) => Promise.reject(new MillraceError("UNREACHABLE", key, "no answer", "")) };
  const refused = rejection(join(never, { name: "b", since: 1 }, all, clock));
  await clock.elapse(20_000);
  assert.is((await refused).code, "UNREACHABLE");
});

test("a key that holds something else is written anew", async () => {
  for (const value of ["hello", "null", "[]", '{"nodes":[{"name":3},null]}']) {
    const of = keys();
    await of.set("nodes", Buffer.from(value), 0);
    await join(of, { name: "a", since: 1 }, all);
    assert.equal(await names(of), ["a"]);
  }
});

test.run();
