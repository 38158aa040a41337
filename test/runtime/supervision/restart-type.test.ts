import { suite } from "uvu";
import * as assert from "uvu/assert";
import { reactionTo } from "../../../runtime/supervision/restart-type.ts";

const test = suite("restart-type");

// OTP's table: crash, process and escalated are its abnormal exits; the rest is what a log and a broker add.
const table = {
  //            permanent  transient  temporary
  normal:      ["end",     "end",     "end"],
  shutdown:    ["restart", "leave",   "leave"],
  crash:       ["restart", "restart", "leave"],
  process:     ["restart", "restart", "leave"],
  escalated:   ["restart", "restart", "leave"],
  poison:      ["forgive", "forgive", "leave"],
  unavailable: ["suspend", "suspend", "suspend"],
  fenced:      ["yield",   "yield",   "yield"],
  parked:      ["park",    "park",    "park"],
} as const;

for (const [exit, reactions] of Object.entries(table)) {
  for (const [index, restart] of (["permanent", "transient", "temporary"] as const).entries()) {
    test(`a ${restart} child that exits with ${exit}: ${reactions[index]}`, () => {
      assert.is(reactionTo(exit as keyof typeof table, restart), reactions[index]);
    });
  }
}

test.run();
