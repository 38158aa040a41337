import { suite } from "uvu";
import * as assert from "uvu/assert";
import { collect } from "../../../actors/index.ts";
import { defineFlow, defineSource } from "../../../runtime/index.ts";
import { gate } from "../../support/gate.ts";
import { TwinWorld } from "../../support/twin-node.ts";
import { eventually } from "../../support/waiting.ts";

const test = suite("source-reader");

for (const [while_, answers] of [["it reads, and gives events then", true], ["it reads, and fails then", false]] as const) {
  test(`a source that is stopped while ${while_} closes what it holds open, also on the way to a kill`, async () => {
    for (const end of ["stop", "kill"] as const) {
      await using world = await TwinWorld.make();
      const asked = gate(), goesOn = gate();
      let open = 0;
      const source = defineSource<number, number>({
        kind: "slow", guarantee: "replayable", start: 0,
        async *read(from) {
          open++;
          try {
            yield { data: 0, position: from + 1 };
            asked.open();
            await goesOn.opened;
            if (!answers) throw new Error("gone");
            yield { data: 1, position: from + 2 };
            yield { data: 2, position: from + 3 };
          } finally {
            open--;
          }
        },
      });
      const it = await world.start([defineFlow("slow", (its) => void its.sink("out", its.source("feed", source), collect<number>([])))], { name: "n1" });
      await asked.opened;
      // Not waited for: who is asked does not hold up the end.
      const ended = end === "stop" ? it[Symbol.asyncDispose]() : it.kill();
      await ended;
      assert.is(open, 1);
      goesOn.open();
      await eventually("it is closed", () => open === 0);
    }
  });
}

test.run();
