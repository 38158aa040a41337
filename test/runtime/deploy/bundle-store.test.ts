import { suite } from "uvu";
import * as assert from "uvu/assert";
import { bundleStream, hashOf, otherBundles, readBundle, removeBundles, storeBundle } from "../../../runtime/deploy/bundle-store.ts";
import { MemoryBroker } from "../../../runtime/testing/memory-broker.ts";
import { MemoryServer } from "../../../runtime/testing/memory-server.ts";
import { rejection } from "../../support/rejection.ts";

const test = suite("bundle-store");
const chunk = 512;

class World {
  readonly server = new MemoryServer({ maxPayload: 2 * chunk });
  readonly broker = new MemoryBroker(this.server);
  readonly bundle: Buffer;
  readonly manifest: { readonly name: string; readonly hash: string; readonly bytes: number };
  readonly stream: string;

  constructor(size = 10 * chunk + 7) {
    this.bundle = Buffer.from(Array.from({ length: size }, (_, at) => (at * 131 + (at >> 8)) & 0xff));
    this.manifest = { name: "quakes", hash: hashOf(this.bundle), bytes: size };
    this.stream = bundleStream("quakes", this.manifest.hash);
  }

  get subject(): string {
    return `mr.code.quakes.${this.manifest.hash.slice(0, 32)}`;
  }

  get messages(): Promise<number> {
    return this.broker.stream(this.stream, this.subject).bounds().then(({ first, last }) => last - first + 1);
  }

  store(): Promise<boolean> {
    return storeBundle(this.broker, "quakes", this.bundle, 1);
  }

  read(): Promise<Uint8Array> {
    return readBundle(this.broker, this.manifest);
  }

  /** In place of what is stored. */
  async put(...chunks: readonly Uint8Array[]): Promise<void> {
    await this.broker.remove(this.stream);
    await this.broker.create({ name: this.stream, subject: this.subject, replicas: 1 });
    for (const data of chunks) await this.broker.stream(this.stream, this.subject).append(data);
  }

  get chunks(): readonly Buffer[] {
    return Array.from({ length: Math.ceil(this.bundle.length / chunk) }, (_, at) => this.bundle.subarray(at * chunk, (at + 1) * chunk));
  }
}

test("a bundle larger than a message is stored in parts and read whole", async () => {
  const world = new World();
  assert.is(await world.store(), true);
  assert.is(await world.messages, 11);
  assert.equal(Buffer.from(await world.read()), world.bundle);
});

test("the same again changes nothing, and says so", async () => {
  const world = new World();
  await world.store();
  assert.is(await world.store(), false);
  assert.is(await world.messages, 11);
});

test("an upload that was interrupted goes on where it was", async () => {
  const world = new World();
  await world.put(...world.chunks.slice(0, 4));
  assert.is(await world.store(), true);
  assert.is(await world.messages, 11, "what was there was kept");
  assert.equal(Buffer.from(await world.read()), world.bundle);
});

test("two who store the same at once store it once", async () => {
  const world = new World(), other = new MemoryBroker(world.server);
  await Promise.all([world.store(), storeBundle(other, "quakes", world.bundle, 1)]);
  assert.is(await world.messages, 11);
  assert.equal(Buffer.from(await world.read()), world.bundle);
});

for (const [what, spoil] of [
  ["a part is missing at the end", (chunks: readonly Buffer[]) => chunks.slice(0, -1)],
  ["the last part is truncated", (chunks: readonly Buffer[]) => [...chunks.slice(0, -1), (chunks.at(-1) as Buffer).subarray(1)]],
  ["a part in the middle is truncated", (chunks: readonly Buffer[]) => chunks.map((data, at) => (at === 3 ? data.subarray(0, 9) : data))],
  ["a byte is another", (chunks: readonly Buffer[]) => chunks.map((data, at) => (at === 5 ? Buffer.concat([Buffer.from([(data[0] as number) ^ 1]), data.subarray(1)]) : data))],
  ["two parts have changed places", (chunks: readonly Buffer[]) => [chunks[1] as Buffer, chunks[0] as Buffer, ...chunks.slice(2)]],
  ["something was put behind it", (chunks: readonly Buffer[]) => [...chunks, Buffer.from("x")]],
  ["nothing is there", () => []],
] as const) {
  test(`where ${what} it is refused, and made whole when it is stored again`, async () => {
    const world = new World();
    await world.put(...spoil(world.chunks));
    assert.is((await rejection(world.read())).code, "BUNDLE_DAMAGED");
    assert.is(await world.store(), true);
    assert.equal(Buffer.from(await world.read()), world.bundle);
  });
}

test("one that is not there is missing", async () => {
  assert.is((await rejection(new World().read())).code, "BUNDLE_MISSING");
});

test("no more is taken into memory than was signed", async () => {
  const world = new World();
  let taken = 0;
  await world.put(...Array.from({ length: 200 }, () => Buffer.alloc(chunk)));
  const stream = world.broker.stream(world.stream, world.subject), counted = Object.create(world.broker) as MemoryBroker;
  counted.stream = () => Object.assign(Object.create(stream) as typeof stream, { async *read(from: number, to: number) { for await (const one of stream.read(from, to)) { taken++; yield one; } }, bounds: () => stream.bounds() });
  assert.is((await rejection(readBundle(counted, world.manifest))).code, "BUNDLE_DAMAGED");
  assert.is(taken, 11, "the first part that is too much ends it");
});

test("bundles of a flow are deleted but one; those of a flow whose name begins the same stay", async () => {
  const world = new World(), more = new World(chunk), { broker } = world;
  await world.store();
  await storeBundle(broker, "quakes", more.bundle, 1);
  await storeBundle(broker, "quakes-2", more.bundle, 1);
  const others = await otherBundles(broker, "quakes", world.manifest.hash), later = new World(2 * chunk);
  // Of who came after it was decided what goes.
  await storeBundle(broker, "quakes", later.bundle, 1);
  await removeBundles(broker, others);
  assert.equal(await broker.list("mr_code_quakes_"), [world.stream, later.stream].toSorted());
  await removeBundles(broker, await otherBundles(broker, "quakes", world.manifest.hash));
  assert.equal(await broker.list("mr_code_quakes_"), [world.stream]);
  await removeBundles(broker, await otherBundles(broker, "quakes"));
  assert.equal(await broker.list("mr_code_"), [bundleStream("quakes-2", more.manifest.hash)]);
});

test.run();
