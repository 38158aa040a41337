import { suite } from "uvu";
import * as assert from "uvu/assert";
import { ApiError, refused } from "../../../../runtime/broker/nats/api.ts";

const test = suite("JetStream's API");

const codeOf = (code: number, err_code: number, description: string): string => refused("mr_x", new ApiError("STREAM.CREATE.mr_x", { code, err_code, description })).code;

test("what is refused for good is told so; what passes by itself is an outage: who waits for NATS asks again", () => {
  assert.is(codeOf(400, 10047, "insufficient storage resources available"), "BROKER_REFUSED");
  assert.is(codeOf(503, 10008, "JetStream system temporarily unavailable"), "UNREACHABLE");
  // As nats-server 2.10 and 2.15 answer while one of three is down, and where there never were three.
  assert.is(codeOf(400, 10005, "no suitable peers for placement, peer offline"), "UNREACHABLE");
  assert.is(codeOf(400, 10005, "no suitable peers for placement, insufficient storage"), "BROKER_REFUSED");
});

test.run();
