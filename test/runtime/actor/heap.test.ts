import { suite } from "uvu";
import * as assert from "uvu/assert";
import { Heap, type HeapItem } from "../../../runtime/actor/heap.ts";
import { Chance, seed } from "../../actors/seeded.ts";

const test = suite("heap");
interface Item extends HeapItem { readonly value: number }
const item = (value: number): Item => ({ value, heapIndex: -1 });
const heap = () => new Heap<Item>((a, b) => a.value < b.value);

test("an empty heap has no first", () => {
  assert.equal([heap().size, heap().peek(), heap().pop()], [0, undefined, undefined]);
});

test("the first stays when it is looked at, and goes when it is taken", () => {
  const all = heap(), one = item(1);
  all.push(item(2));
  all.push(one);
  assert.is(all.peek(), one);
  assert.is(all.size, 2);
  assert.is(all.pop(), one);
  assert.equal([all.size, one.heapIndex], [1, -1]);
});

test("an item can come back after it was taken out", () => {
  const all = heap(), one = item(1);
  all.push(one);
  all.remove(one);
  all.push(one);
  assert.is(all.pop(), one);
});

test(`as a sorted list, whatever is added, taken and removed from the middle (SEED=${seed})`, () => {
  const chance = new Chance(seed);
  for (let run = 0; run < 50; run++) {
    const all = heap();
    let list: Item[] = [];
    for (let i = 0; i < 500; i++) {
      const what = chance.below(10);
      if (what < 5 || list.length === 0) {
        const added = item(chance.below(100));
        all.push(added);
        list.push(added);
      } else if (what < 7) {
        const removed = chance.of(list);
        all.remove(removed);
        assert.is(removed.heapIndex, -1);
        list = list.filter((one) => one !== removed);
      } else {
        const taken = all.pop() as Item;
        assert.is(taken.value, Math.min(...list.map(({ value }) => value)));
        list = list.filter((one) => one !== taken);
      }
      assert.is(all.size, list.length);
      assert.is(all.peek()?.value, list.length === 0 ? undefined : Math.min(...list.map(({ value }) => value)));
      assert.equal(new Set(all), new Set(list));
    }
    const rest = list.map(({ value }) => value).sort((a, b) => a - b);
    assert.equal(rest.map(() => all.pop()?.value), rest);
  }
});

test.run();
