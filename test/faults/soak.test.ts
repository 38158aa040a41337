// The judge of a soak; the soak itself takes an hour: `npm run test:faults -- soak --minutes 60`
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { measures, notFlat, type Sample } from "./soak.ts";
import { soakChart } from "./soak-chart.ts";

const test = suite("soak");
const samples = (of: (i: number) => Partial<Sample>): Sample[] => Array.from({ length: 90 }, (_, i) => ({
  seconds: i * 5, nodeMb: 150 + (i % 7), serverMb: 60, nodeDescriptors: 40, serverDescriptors: 90, streams: 30, consumers: 12, journalsMb: 20 + (i % 11), storeMb: 40 + (i % 9), ...of(i),
}));

test("what goes up and down, and what grows at the beginning alone, is flat", () => {
  assert.equal(notFlat(samples((i) => ({ nodeMb: Math.min(i, 20) * 10 + (i % 5) }))), []);
});

for (const of of measures) {
  test(`${of} that rises to the end is noticed`, () => {
    const found = notFlat(samples((i) => ({ [of]: 50 + i * 2 })));
    assert.is(found.length, 1, found.join("; "));
    assert.match(found[0] as string, new RegExp(`^${of} rises`));
  });
}

test("a few samples prove nothing", () => assert.match(notFlat(samples(() => ({})).slice(0, 8))[0] as string, /too few/));

test("the chart has a line for each measure", () => {
  const chart = soakChart(samples(() => ({})));
  assert.is(chart.match(/<polyline /g)?.length, measures.length);
  assert.not.match(chart, /NaN|undefined/);
});

test.run();
