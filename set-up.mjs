// What `npm start` and `npm test` run first, in a fresh clone too: dependencies, build, nats-server, each only where it is missing or out
// of date; then the command itself. Plain JavaScript without dependencies, since nothing is installed yet. Alone it only sets up.
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { constants } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const root = fileURLToPath(new URL(".", import.meta.url));
const at = (...names) => join(root, ...names);
const fromSource = ["--conditions=source", "--import", "tsx"];

/** What follows the set-up, as arguments of node. */
const commands = {
  start: ["dist/runtime/cli/main.js", "run", "examples/quakes.ts"],
  test: [...fromSource, "test/run.ts"],
  bench: [...fromSource, "test/bench/bench.ts"],
  faults: [...fromSource, "test/faults/run.ts"],
};

const [name, ...args] = process.argv.slice(2);
if (name !== undefined && !(name in commands)) fail(`set-up.mjs knows no "${name}": use ${Object.keys(commands).join(", ")}, or nothing to set up only.`);
checkNode();
installDependencies();
build();
await provideNatsServer();
if (name !== undefined) run([...commands[name], ...args]);

function checkNode() {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  if (major < 20 || (major === 20 && minor < 19)) fail(`Millrace needs Node 20.19 or newer, and this is ${process.versions.node} (${process.execPath}).`);
}

function installDependencies() {
  // The platform belongs to it: some packages bring one binary for each.
  const wanted = `${hash(["package-lock.json"])} ${process.platform} ${process.arch}`;
  const stamp = at("node_modules", ".set-up");
  if (contentOf(stamp) === wanted) return;
  step("dependencies: npm ci", () => {
    const npm = process.env["npm_execpath"];
    // On Windows npm is a script, which only a shell starts; the arguments are constants.
    const [command, ...first] = npm?.endsWith(".js") ? [process.execPath, npm] : ["npm"];
    runQuietly(command, [...first, "ci", "--ignore-scripts", "--include=dev", "--no-audit", "--no-fund", "--loglevel=error"], { shell: command === "npm" && process.platform === "win32" });
    writeFileSync(stamp, wanted);
  });
}

function build() {
  const sources = ["runtime", "actors"].flatMap((folder) => filesIn(folder)).filter((file) => file.endsWith(".ts"));
  const wanted = hash(["package-lock.json", "tsconfig.json", "tsconfig.build.json", ...sources]);
  const stamp = at("dist", ".sources");
  if (contentOf(stamp) === wanted) return;
  step("build: tsc, to dist/", () => {
    rmSync(at("dist"), { recursive: true, force: true });
    runQuietly(process.execPath, [at("node_modules", "typescript", "bin", "tsc"), "-p", "tsconfig.build.json"]);
    writeFileSync(stamp, wanted);
  });
}

async function provideNatsServer() {
  // A server that runs elsewhere is told to the command; tests and benches start their own in any case.
  if (name === "start" && (process.env["MILLRACE_NATS"] || args.some((arg) => arg === "--nats" || arg.startsWith("--nats=")))) return;
  const { findOrObtain } = await import(pathToFileURL(at("dist", "runtime", "broker", "nats-server", "obtain.js")).href);
  try {
    await findOrObtain({ say: (line) => console.log(`[set-up] ${line}`) });
  } catch (error) {
    fail(error.message);
  }
}

function run(nodeArgs) {
  const child = spawn(process.execPath, nodeArgs, { cwd: root, stdio: "inherit", env: { ...process.env, MILLRACE_BUILT: "1" } });
  // Ctrl-C goes to the command as well, and it decides when it ends; other signals come to this process alone.
  process.on("SIGINT", () => {});
  for (const signal of ["SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
  child.on("exit", (code, signal) => {
    process.exitCode = code ?? 128 + (constants.signals[signal] ?? 0);
  });
  child.on("error", (error) => fail(error.message));
}

function step(what, work) {
  const began = performance.now();
  console.log(`[set-up] ${what} ...`);
  work();
  console.log(`[set-up]   done in ${((performance.now() - began) / 1000).toFixed(1)} s`);
}

function runQuietly(command, commandArgs, options = {}) {
  const { status, stdout, stderr, error } = spawnSync(command, commandArgs, { cwd: root, encoding: "utf8", maxBuffer: 64 * 1024 * 1024, ...options });
  if (status !== 0) fail(`${stdout ?? ""}${stderr ?? ""}${error === undefined ? "" : `${error.message}\n`}[set-up] failed: ${command} ${commandArgs.join(" ")}`);
}

function filesIn(folder) {
  if (!existsSync(at(folder))) return [];
  return readdirSync(at(folder), { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath ?? entry.path, entry.name).slice(root.length)).sort();
}

function hash(files) {
  const sum = createHash("sha256");
  for (const file of files) sum.update(`${file}\0`).update(readFileSync(at(file))).update("\0");
  return sum.digest("hex");
}

function contentOf(file) {
  return existsSync(file) ? readFileSync(file, "utf8") : undefined;
}

function fail(message) {
  console.error(message);
  process.exit(1);
}
