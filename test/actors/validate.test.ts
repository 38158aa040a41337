import { suite } from "uvu";
import * as assert from "uvu/assert";
import { z } from "zod";
import { validate } from "../../actors/index.ts";
import { OperatorTwin } from "../support/operator-twin.ts";
import { problemsOf } from "../support/problems.ts";

const test = suite("validate");
const Order = z.object({ id: z.string(), items: z.array(z.object({ price: z.number() })) });

test("what fits goes on as the schema gives it", () => {
  const twin = new OperatorTwin(validate(Order));
  assert.is(twin.send({ id: "1", items: [], extra: true }, { time: 3 }), undefined);
  assert.equal(twin.out, [{ data: { id: "1", items: [] }, time: 3, key: undefined, type: undefined }]);
});

test("what does not is a dead letter that says where and why, and the next event goes on", () => {
  const twin = new OperatorTwin(validate(Order));
  const bad = { items: [{ price: 1 }, { price: "2" }] };
  twin.send(bad, { time: 3, key: "k" });
  twin.send({ id: "1", items: [] });
  assert.is(twin.deadLetters.length, 1);
  const [letter] = twin.deadLetters;
  assert.is(letter?.code, "SCHEMA");
  assert.equal([letter?.data, letter?.time, letter?.key], [bad, 3, "k"]);
  assert.match(letter?.message ?? "", /^id: .*; items\.1\.price: /);
  assert.equal(twin.data, [{ id: "1", items: [] }]);
});

test("an async schema is waited for", async () => {
  const twin = new OperatorTwin(validate(z.string().refine(async (text) => text !== "no")));
  for (const text of ["yes", "no"]) await twin.send(text);
  assert.equal(twin.data, ["yes"]);
  assert.equal(twin.deadLetters.map(({ code, data }) => [code, data]), [["SCHEMA", "no"]]);
});

test("of many faults five are told, and how many more there are", () => {
  const issues = Array.from({ length: 7 }, (_, i) => ({ message: `fault ${i}`, path: [{ key: "at" }, i] }));
  const twin = new OperatorTwin(validate({ "~standard": { version: 1, vendor: "test", validate: () => ({ issues }) } }));
  twin.send("a");
  assert.is(twin.deadLetters[0]?.message, "at.0: fault 0; at.1: fault 1; at.2: fault 2; at.3: fault 3; at.4: fault 4; and 2 more");
});

test("something that is no schema is a problem of the definition", () => {
  assert.equal(problemsOf(validate({ parse() {} } as never)), ["SCHEMA_INVALID validate got an object, which is no Standard Schema: give a schema of zod, valibot, arktype or another that has ~standard"]);
});

test.run();
