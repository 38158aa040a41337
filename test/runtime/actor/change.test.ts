import { suite } from "uvu";
import * as assert from "uvu/assert";
import { Changes, type Foldable, seal, unseal } from "../../../runtime/actor/change.ts";
import type { MillraceError } from "../../../runtime/event/errors.ts";
import { told } from "../../support/plain-data.ts";

const test = suite("change");

class Cell implements Foldable {
  touched = 0;
  unfolded = false;
  readonly name: string;
  value: number | undefined;

  constructor(name: string) {
    this.name = name;
  }

  storeKey(): Buffer { return Buffer.from(this.name); }
  stored(): unknown { return this.value; }
  restore(value: unknown): void { this.value = value as number | undefined; }

  set(changes: Changes, value: number): void {
    changes.touch(this, this.value, undefined);
    this.value = value;
  }
}

const names = (cells: readonly Foldable[]): string[] => cells.map((cell) => (cell as Cell).name);

test("an event that failed takes back all that it did, newest first, and nothing of the ones before", () => {
  const changes = new Changes(), a = new Cell("a"), b = new Cell("b");
  a.set(changes, 1);
  changes.keep();
  assert.not.ok(changes.hasPartial);
  a.set(changes, 2);
  b.set(changes, 3);
  a.set(changes, 4);
  assert.ok(changes.hasPartial);
  changes.revert();
  assert.equal([a.value, b.value], [1, undefined]);
  assert.not.ok(changes.hasPartial);
});

test("each entry is named once for each turn in which it changed", () => {
  const changes = new Changes(), a = new Cell("a"), b = new Cell("b");
  a.set(changes, 1);
  b.set(changes, 1);
  a.set(changes, 2);
  changes.keep();
  assert.ok(changes.dirty);
  assert.equal(names(changes.close()), ["a", "b"]);
  assert.not.ok(changes.dirty);
  b.set(changes, 2);
  assert.equal(names(changes.close()), ["b"]);
  assert.equal(names(changes.close()), []);
});

test("a snapshot has each entry once that changed since the one before, as it is when it is taken", () => {
  const changes = new Changes(), a = new Cell("a"), b = new Cell("b");
  a.set(changes, 1);
  changes.close();
  a.set(changes, 2);
  b.set(changes, 3);
  changes.close();
  assert.is(changes.unfolded, 2);
  const taken = changes.capture();
  a.set(changes, 99);
  assert.equal(taken.map(([key, value]) => [key().toString(), value]), [["a", 2], ["b", 3]]);
  assert.is(changes.unfolded, 1);
  assert.equal(changes.capture().map(([key, value]) => [key().toString(), value]), [["a", 99]]);
  assert.equal(changes.capture(), []);
});

test("after its end nothing that a handler still does has an effect", () => {
  const changes = new Changes(), a = new Cell("a");
  a.set(changes, 1);
  changes.keep();
  changes.sealed = true;
  assert.throws(() => a.set(changes, 2), /is over/);
  assert.is(a.value, 1);
  assert.not.ok(changes.hasPartial);
});

test("a folded value comes back as it was; one flipped bit, or a cut, is noticed", () => {
  const sealed = seal([1, "x", { a: 1 }]);
  assert.is(told(unseal(sealed, "f/s/0")), told([1, "x", { a: 1 }]));
  for (let at = 0; at < sealed.length; at++) {
    for (const wrong of [Uint8Array.from(sealed, (byte, i) => (i === at ? byte ^ 4 : byte)), sealed.subarray(0, at)]) {
      try {
        unseal(wrong, "f/s/0");
        assert.unreachable();
      } catch (error) {
        assert.is((error as MillraceError).code, "JOURNAL_BROKEN", `${at}`);
      }
    }
  }
});

test.run();
