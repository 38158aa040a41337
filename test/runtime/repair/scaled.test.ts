// A flow of which a stage was scaled is looked at as it is now: what went to a generation that is over is no loss.
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { collect, map, stateful } from "../../../actors/index.ts";
import { defineFlow, defineSource, type Emits } from "../../../runtime/index.ts";
import { survey } from "../../../runtime/repair/survey.ts";
import { MemoryBroker } from "../../../runtime/testing/memory-broker.ts";
import { MemoryStores } from "../../../runtime/testing/memory-store.ts";
import { TwinWorld } from "../../support/twin-node.ts";
import { eventually } from "../../support/waiting.ts";

const test = suite("scaled");
interface Row { readonly n: number; readonly count: number }

for (const journals of [true, false]) for (const streamsGo of [true, false]) test(`nothing is behind after a stage was scaled, ${journals ? "with" : "without"} journals, ${streamsGo ? "also when" : "before"} the old streams are gone`, async () => {
  await using world = await TwinWorld.make();
  const rows: Row[] = [], retainMs = streamsGo ? 0 : 600_000, broker = new MemoryBroker(world.server);
  let until = 100;
  const source = defineSource<{ n: number }, number>({
    kind: "gated", guarantee: "replayable", start: 0,
    async *read(from, { signal }) {
      for (let n = from; !signal.aborted; n++) {
        while (n >= until && !signal.aborted) await new Promise<void>((done) => { setImmediate(done); });
        yield { data: { n }, position: n + 1 };
      }
    },
  });
  const flow = defineFlow("counting", (its) => {
    const pass = its.processor("pass", its.source("feed", source), map((item: { n: number }) => item));
    its.sink("out", its.processor("tally", pass.keyBy(({ n }) => n % 5), { parallelism: 2 }, stateful({
      initial: () => 0,
      on(count, { n }: { n: number }, ctx: Emits<Row>) { ctx.emit({ n, count: count + 1 }); return count + 1; },
    })), collect(rows));
  });
  const stores = new MemoryStores(world.journals), own = new MemoryStores(world.own);
  {
    await using it = await world.start([flow], {}, { parts: () => Promise.resolve({
      access: { broker, embedded: true, address: "memory", retainMs, close: () => Promise.resolve() }, journals: stores, own, removeOldJournals: () => Promise.resolve(), close: () => Promise.resolve(),
    }) });
    const scaling = it.node.scalings.get("counting"), through = (): Promise<unknown> => eventually(`${until} are through`, () => rows.length >= until, 20_000);
    for (const to of [3, 1, 2]) {
      await through();
      until += 7;
      await scaling?.begin("tally", to);
      await eventually("it is scaled", () => scaling?.status.change === null, 20_000);
    }
    await through();
    const old = (): boolean => [...world.server.streams.keys()].some((name) => /_tally_.*-[123]_/.test(name));
    if (streamsGo) await eventually("old streams go", () => !old(), 20_000);
    else assert.ok(old());
  }
  await using found = await survey("counting", { broker, journals: journals ? [{ node: "here", stores }] : [] });
  assert.equal(found?.behind, []);
  assert.is(found?.actors.size, 5);
  await broker.close();
});

test.run();
