// `npm run test:faults -- [scenario] [options]`: fault scenarios at length; chaos, where none is named. On other versions by
// --node, --nats-server, --nats-client (support/versions.ts).
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { chaos, type ChaosOptions, chaosText } from "./chaos.ts";
import { clusterChaos, clusterChaosText } from "./cluster-chaos.ts";
import { diskFull } from "./disk-full.ts";
import { fuzz } from "./fuzz.ts";
import { killScenario } from "./kill.ts";
import { crashMatrix, matrixText } from "./matrix.ts";
import { neighbours, neighboursText } from "./neighbours.ts";
import { powerLoss } from "./power-loss.ts";
import { soak } from "./soak.ts";
import { runOnVersions } from "../support/versions.ts";

const elsewhere = await runOnVersions(process.argv[1] as string, process.argv.slice(2));
if (elsewhere !== undefined) process.exit(elsewhere);
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    help: { type: "boolean", short: "h", default: false }, seed: { type: "string" }, soak: { type: "boolean", default: false }, minutes: { type: "string", default: "30" },
    events: { type: "string" }, kills: { type: "string", default: "10" }, fsync: { type: "string", default: "always" },
    step: { type: "string" }, kind: { type: "string" }, deaths: { type: "string" }, victim: { type: "string" }, keep: { type: "string" },
    inputs: { type: "string", default: "1000000" }, area: { type: "string" },
    servers: { type: "string", default: "1" }, rounds: { type: "string" }, rate: { type: "string" }, disturbed: { type: "string" }, gap: { type: "string" }, losses: { type: "string", default: "300" },
  },
});
const seed = Number(values.seed ?? Date.now() % 100_000), minutes = Number(values.minutes);

interface Scenario {
  readonly says: string;
  /** How many checks passed and failed. */
  readonly run: () => Promise<{ readonly passed: number; readonly failed: number }>;
}

const scenarios: Readonly<Record<string, Scenario>> = {
  "power-loss": {
    says: "streams and journals go back or are gone at random; repaired, and run to the end\n            --losses N (300)",
    async run() {
      const { losses, ends, wrong } = await powerLoss({ seed, losses: Number(values.losses), withinMs: minutes * 60_000, say: console.log });
      console.log(`${losses} losses; with all journals: ${JSON.stringify(ends.kept)}; without some: ${JSON.stringify(ends.gone)}`);
      return { passed: losses - wrong.length, failed: wrong.length };
    },
  },
  kill: {
    says: "a long flow killed at positions of its journals, against the same undisturbed\n            --events N (1000000)  --kills N (10)  --fsync always|relaxed (always)",
    async run() {
      const result = await killScenario({ events: Number(values.events ?? 1_000_000), kills: Number(values.kills), seed, say: console.log, deadlineMs: minutes * 60_000, args: ["--fsync", values.fsync] });
      const same = result.undisturbed === result.disturbed;
      console.log(`${values.events ?? 1_000_000} events, killed ${result.killed} times: ${same ? "the same bytes" : "OTHER BYTES"} (${result.undisturbed.slice(0, 16)}, ${result.disturbed.slice(0, 16)}); ${result.seconds.undisturbed.toFixed(1)} s undisturbed, ${result.seconds.disturbed.toFixed(1)} s killed`);
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
  chaos: {
    says: "a flow over real processes, disturbed at random all the time, round after round\n            --servers 1|3 (1)  --rounds N (as many as there is time for)  --keep FOLDER for what fails\n            of each round, else by its seed: --events N  --rate N a second  --disturbed SECONDS  --gap MS between faults",
    run: () => chaotic({}),
  },
  "cluster-chaos": {
    says: "the same over three nodes and three servers: nodes killed, zombies, lines cut; scale, move, drain, deploy\n            --rounds N  --keep FOLDER  --events N  --rate N  --disturbed SECONDS  --gap MS",
    run: () => chaoticOver(async (options) => {
      const results = await clusterChaos(options);
      return { results, text: (again) => clusterChaosText(results, again) };
    }),
  },
  clock: {
    says: "chaos, and all the time the wall clock leaps by hours, both ways\n            --servers 1|3 (1)  --rounds N  --keep FOLDER",
    run: () => chaotic({ leaps: true }),
  },
  disk: {
    says: "the disk full under the journals and under nats-server, in the middle of a flow\n            --events N (60000)",
    async run() {
      let passed = 0, failed = 0;
      for (const which of ["journals", "server"] as const) {
        const result = await diskFull(which, { seed, events: Number(values.events ?? 60_000), rate: 6_000 });
        if (result === undefined) { console.log(`${which}: an ordinary user has no small disk on this system: left out`); continue; }
        result.wrongs.length === 0 ? passed++ : failed++;
        console.log(`${which}: "${result.said}"; ${result.restarted ? "the server was started again; " : ""}${result.rows} rows, missing ${result.missing}, duplicates ${result.duplicates}${result.wrongs.map((wrong) => `\n  - ${wrong}`).join("")}`);
      }
      return { passed, failed };
    },
  },
  neighbours: {
    says: "two flows on a node, one of them hot, full or hung: the other's latency beside its own alone\n            --rounds N (3)",
    async run() {
      console.log(neighboursText(await neighbours({ rounds: Number(values.rounds ?? 3), measuredMs: 10_000, say: console.log })));
      return { passed: 1, failed: 0 };
    },
  },
  soak: {
    says: "a flow at a steady rate: memory, descriptors, streams, consumers and disk must be flat\n            --minutes N (30)  --keep FOLDER for samples and chart (.)",
    async run() {
      const { wrongs, samples, events, files } = await soak({ minutes, seed, to: values.keep ?? ".", say: console.log });
      console.log(`${events} events, ${samples.length} samples; ${files.join(", ")}${wrongs.map((wrong) => `\n  - ${wrong}`).join("")}`);
      return wrongs.length === 0 ? { passed: 1, failed: 0 } : { passed: 0, failed: wrongs.length };
    },
  },
  matrix: {
    says: "the crash matrix, steps x kinds of stages\n            --step NAME  --kind NAME  --deaths 1|2 (by the seed)  --victim node|server (node)  --keep FOLDER for what fails",
    async run() {
      const { step: wanted, kind: its, deaths, keep, victim } = values;
      const result = await crashMatrix({
        seed, ...(victim === "server" ? { victim } : { atOnce: 4 }), withinMs: minutes * 60_000, say: console.log, only: (step, kind) => (wanted === undefined || step === wanted) && (its === undefined || kind === its),
        ...(deaths === undefined ? {} : { deaths: Number(deaths) }), ...(keep === undefined ? {} : { keepIn: keep }),
      });
      console.log(`${matrixText(result)}\n\nkilled ${result.killed} times`);
      const ran = [...result.cells.values()].filter((cell) => cell !== "never"), failed = ran.filter((cell) => cell.length > 0).length;
      return { passed: ran.length - failed, failed };
    },
  },
};

async function chaotic(more: NonNullable<ChaosOptions["its"]>): Promise<{ readonly passed: number; readonly failed: number }> {
  const servers = values.servers === "3" ? 3 : 1;
  return await chaoticOver(async (options) => {
    const results = await chaos({ ...options, servers });
    return { results, text: (again) => chaosText(results, again) };
  }, more, ` --servers ${servers}`);
}

interface Judged { readonly results: readonly { readonly wrongs: readonly string[] }[]; readonly text: (again: string) => string }

async function chaoticOver(run: (options: Omit<ChaosOptions, "servers">) => Promise<Judged>, more: NonNullable<ChaosOptions["its"]> = {}, over = ""): Promise<{ readonly passed: number; readonly failed: number }> {
  const { events, rate, disturbed, gap } = values, its = {
    ...more, ...(events === undefined ? {} : { events: Number(events) }), ...(rate === undefined ? {} : { rate: Number(rate) }),
    ...(disturbed === undefined ? {} : { faultsMs: Number(disturbed) * 1_000 }), ...(gap === undefined ? {} : { gapMs: Number(gap) }),
  };
  const rounds = values.rounds === undefined ? {} : { rounds: Number(values.rounds) };
  const { results, text } = await run({ seed, its, withinMs: minutes * 60_000, ...rounds, say: console.log, keepIn: values.keep ?? mkdtempSync(join(tmpdir(), "millrace-chaos-")) });
  const given = (["events", "rate", "disturbed", "gap"] as const).flatMap((option) => (values[option] === undefined ? [] : [` --${option} ${values[option]}`])).join("");
  console.log(text(`npm run test:faults -- ${name}${over} --seed ${seed} ${values.rounds === undefined ? `--minutes ${minutes}` : `--rounds ${values.rounds}`}${given}`));
  const failed = results.filter(({ wrongs }) => wrongs.length > 0).length;
  return { passed: results.length - failed, failed };
}

const name = positionals[0] ?? (values.soak ? "soak" : "chaos"), scenario = scenarios[name];
if (values.help || scenario === undefined) {
  console.log(`npm run test:faults -- [scenario] [--seed N] [--minutes N (30)]\n\nWithout a scenario: chaos, or with --soak the soak.\n\n${Object.entries(scenarios).map(([its, { says }]) => `  ${its.padEnd(13)}  ${says}`).join("\n")}`);
  if (!values.help) process.exitCode = 1;
} else {
  console.log(`seed ${seed}`);
  const { passed, failed } = await scenario.run();
  console.log(`${passed} passed, ${failed} failed`);
  process.exitCode = failed === 0 ? 0 : 1;
}
