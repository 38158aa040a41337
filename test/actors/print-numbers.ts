// Prints many events by stdout(), and says on the other channel when it is through.
import { stdout } from "../../actors/index.ts";
import { type RepeatingSink, sinkOf } from "../../runtime/flow/sink.ts";
import { silent } from "./reading.ts";
import { batch, generation } from "./writing.ts";

const sink = await (sinkOf(stdout()) as RepeatingSink<unknown>).open({ actor: "flow/print/0", partition: 0, generation, signal: new AbortController().signal, log: silent });
for (let number = 1; number <= 2000; number++) await sink.write(batch(number, ...Array.from({ length: 100 }, (_, i) => ({ n: (number - 1) * 100 + i }))));
await sink.close?.();
console.error("done");
