// `npm run test:faults -- <scenario> [options]`: fault scenarios at length. Without a scenario it says which there are.
import { parseArgs } from "node:util";
import { fuzz } from "./fuzz.ts";
import { killScenario } from "./kill.ts";
import { crashMatrix, matrixText } from "./matrix.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    help: { type: "boolean", short: "h", default: false }, seed: { type: "string" }, minutes: { type: "string", default: "30" },
    events: { type: "string", default: "1000000" }, kills: { type: "string", default: "10" }, fsync: { type: "string", default: "always" },
    step: { type: "string" }, kind: { type: "string" }, deaths: { type: "string" }, keep: { type: "string" },
    inputs: { type: "string", default: "1000000" }, area: { type: "string" },
  },
});
const seed = Number(values.seed ?? Date.now() % 100_000), minutes = Number(values.minutes);

interface Scenario {
  readonly says: string;
  /** How many checks passed and failed. */
  readonly run: () => Promise<{ readonly passed: number; readonly failed: number }>;
}

const scenarios: Readonly<Record<string, Scenario>> = {
  kill: {
    says: "a long flow killed at positions of its journals, against the same undisturbed\n            --events N (1000000)  --kills N (10)  --fsync always|relaxed (always)",
    async run() {
      const result = await killScenario({ events: Number(values.events), kills: Number(values.kills), seed, say: console.log, deadlineMs: minutes * 60_000, args: ["--fsync", values.fsync] });
      const same = result.undisturbed === result.disturbed;
      console.log(`${values.events} events, killed ${result.killed} times: ${same ? "the same bytes" : "OTHER BYTES"} (${result.undisturbed.slice(0, 16)}, ${result.disturbed.slice(0, 16)}); ${result.seconds.undisturbed.toFixed(1)} s undisturbed, ${result.seconds.disturbed.toFixed(1)} s killed`);
      return same ? { passed: 1, failed: 0 } : { passed: 0, failed: 1 };
    },
  },
  fuzz: {
    says: "hostile bytes, values, files, requests and names\n            --inputs N (1000000)  --area NAME for one alone",
    async run() {
      const { inputs, seconds, peakRssMb, wrong } = await fuzz({ inputs: Number(values.inputs), seed, say: console.log, only: (area) => values.area === undefined || values.area === area });
      console.log(`${inputs} inputs in ${seconds.toFixed(0)} s, ${peakRssMb} MB at most${wrong.length === 0 ? "" : `\n${wrong.join("\n")}`}`);
      return wrong.length === 0 ? { passed: 1, failed: 0 } : { passed: 0, failed: wrong.length };
    },
  },
  matrix: {
    says: "the crash matrix, steps x kinds of stages\n            --step NAME  --kind NAME  --deaths 1|2 (by the seed)  --keep FOLDER for what fails",
    async run() {
      const { step: wanted, kind: its, deaths, keep } = values;
      const result = await crashMatrix({
        seed, atOnce: 4, withinMs: minutes * 60_000, say: console.log, only: (step, kind) => (wanted === undefined || step === wanted) && (its === undefined || kind === its),
        ...(deaths === undefined ? {} : { deaths: Number(deaths) }), ...(keep === undefined ? {} : { keepIn: keep }),
      });
      console.log(`${matrixText(result)}\n\nkilled ${result.killed} times`);
      const ran = [...result.cells.values()].filter((cell) => cell !== "never"), failed = ran.filter((cell) => cell.length > 0).length;
      return { passed: ran.length - failed, failed };
    },
  },
};

const [name] = positionals, scenario = scenarios[name ?? ""];
if (values.help || scenario === undefined) {
  console.log(`npm run test:faults -- <scenario> [--seed N] [--minutes N (30)]\n\n${Object.entries(scenarios).map(([its, { says }]) => `  ${its.padEnd(8)}  ${says}`).join("\n")}`);
  if (!values.help) process.exitCode = 1;
} else {
  console.log(`seed ${seed}`);
  const { passed, failed } = await scenario.run();
  console.log(`${passed} passed, ${failed} failed`);
  process.exitCode = failed === 0 ? 0 : 1;
}
