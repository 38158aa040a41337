// `npm run test:faults -- kill [--events N] [--kills N] [--seed N] [--fsync relaxed]`: fault scenarios at length.
import { parseArgs } from "node:util";
import { killScenario } from "./kill.ts";

const { values } = parseArgs({
  allowPositionals: true,
  options: { events: { type: "string", default: "1000000" }, kills: { type: "string", default: "10" }, seed: { type: "string", default: String(Date.now() % 100_000) }, fsync: { type: "string", default: "always" }, minutes: { type: "string", default: "30" } },
});
const seed = Number(values.seed);
console.log(`seed ${seed}`);
const result = await killScenario({ events: Number(values.events), kills: Number(values.kills), seed, say: console.log, deadlineMs: Number(values.minutes) * 60_000, args: ["--fsync", values.fsync] });
const same = result.undisturbed === result.disturbed;
console.log(`${values.events} events, killed ${result.killed} times: ${same ? "the same bytes" : "OTHER BYTES"} (${result.undisturbed.slice(0, 16)}, ${result.disturbed.slice(0, 16)}); ${result.seconds.undisturbed.toFixed(1)} s undisturbed, ${result.seconds.disturbed.toFixed(1)} s killed`);
console.log(same ? "1 passed, 0 failed" : "0 passed, 1 failed");
process.exitCode = same ? 0 : 1;
