import { suite } from "uvu";
import * as assert from "uvu/assert";
import { camelCase, isName, nearest } from "../../../runtime/flow/name.ts";

const test = suite("name");

test("a name is 1 to 64 of a–z, 0–9 and -, a letter first", () => {
  for (const good of ["a", "by-region", "p8", "a-", "z".repeat(64)]) assert.ok(isName(good), good);
  for (const bad of ["", "A", "-a", "8p", "a.b", "a b", "a_b", "é", "a\n", "z".repeat(65), undefined, 7, {}]) assert.not.ok(isName(bad), String(bad));
});

test("a stage's name in camel case is a JavaScript name", () => {
  const forms = { "by-region": "byRegion", felt: "felt", "a-b-c": "aBC", "p-8": "p8", "a--b": "aB", "a-": "a" };
  for (const [name, camel] of Object.entries(forms)) assert.is(camelCase(name), camel);
});

test("the nearest name is the one that was probably meant, and none where nothing is near", () => {
  const names = ["parallelism", "supervision", "order", "mailbox", "poison"];
  const meant = { paralelism: "parallelism", parallelisms: "parallelism", Order: "order", odrer: "order", mailBox: "mailbox", poisson: "poison" };
  for (const [name, found] of Object.entries(meant)) assert.is(nearest(name, names), found, name);
  for (const name of ["x", "place", "isolate", "time", ""]) assert.is(nearest(name, names), undefined, name);
});

test("of two that are as near the first is taken", () => {
  assert.is(nearest("mix", ["min", "max"]), "min");
});

test.run();
