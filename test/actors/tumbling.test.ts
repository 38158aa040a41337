import { suite } from "uvu";
import * as assert from "uvu/assert";
import { aggregate, tumbling } from "../../actors/index.ts";
import { shapeOf, type WindowShape } from "../../actors/window.ts";
import { problemsOf } from "../support/problems.ts";

const test = suite("tumbling");
const shape = (...given: Parameters<typeof tumbling>) => shapeOf(tumbling(...given)) as WindowShape;

const cells = [
  // size, offset, time, start
  [10, 0, 0, 0], [10, 0, 9, 0], [10, 0, 10, 10], [10, 0, 10.5, 10],
  [10, 0, -1, -10], [10, 0, -10, -10], [10, 0, -11, -20],
  [10, 3, 2, -7], [10, 3, 3, 3], [10, 3, 12, 3], [10, 3, 13, 13], [10, 13, 3, 3], [10, 3, -7, -7], [10, 3, -8, -17], [10, 10, -1e-20, -10],
  ["6h", 0, 1_700_000_000_000, 1_699_984_800_000], ["1d", "6h", 0, -64_800_000],
] as const;
for (const [size, offset, time, start] of cells) {
  test(`the window of ${size} moved by ${offset} that holds ${time} starts at ${start}`, () => {
    assert.is(shape(size, { offset }).startOf(time), start);
  });
}

test("a start is never after its event, and never -0", () => {
  const { startOf, size } = shape(7);
  for (let day = -20_000; day < 20_000; day += 97) {
    for (const time of [day * 86_400_000, day * 86_400_000 - 2 ** -13, day * 7 - 0.1]) {
      assert.ok(startOf(time) <= time && time < startOf(time) + size, `at ${time}`);
    }
  }
  assert.ok(Object.is(startOf(-0), 0));
});

test("what is no size or offset is a problem of the operator that has the window", () => {
  const of = (window: unknown) => problemsOf(aggregate({ window: window as ReturnType<typeof tumbling>, initial: () => 0, add: (n: number) => n }));
  const give = 'a duration such as "10s", 1ms or more, in whole ms';
  assert.equal(of(tumbling("6 hours" as never)), [`OPTION_INVALID aggregate has a window of which size of tumbling is "6 hours": give ${give}`]);
  assert.equal(of(tumbling(0)), [`OPTION_INVALID aggregate has a window of which size of tumbling is 0: give ${give}`]);
  assert.equal(of(tumbling("0.5ms")), [`OPTION_INVALID aggregate has a window of which size of tumbling is "0.5ms": give ${give}`]);
  assert.equal(of(tumbling(undefined as never)), [`OPTION_INVALID aggregate has a window of which size of tumbling is undefined: give ${give}`]);
  assert.equal(of(tumbling(10, { ofset: 3 } as never)), ['OPTION_UNKNOWN aggregate has a window of which tumbling has no option "ofset": did you mean "offset"?']);
  assert.equal(of("6h"), ['OPTION_INVALID window of aggregate is "6h": give a window, such as tumbling("1h")']);
});

test.run();
