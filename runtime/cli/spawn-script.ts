// What `millrace spawn` has the other machine do. In old JavaScript: also a Node that is too old is to run it, and say so. What it is told comes
// over the standard input, as a line of JSON, since others there see a command line; what it tells goes to the standard output.

/** What the other machine is told. */
export interface SpawnOrder {
  /** Folder of the project there. */
  readonly project: string;
  /** Of `millrace node`. */
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** By variable: contents (base64) of a file whose path there is its value. */
  readonly files: Readonly<Record<string, string>>;
  readonly detach: boolean;
}

/** What it tells, a line each, each behind `mark`. What a login there prints before is nobody's. */
export type SpawnNews =
  | { readonly is: "refused"; readonly code: "NODE_MISSING" | "NODE_TOO_OLD" | "PROJECT_MISSING" | "MILLRACE_MISSING" | "SPAWN_FAILED"; readonly what: string }
  | { readonly is: "running"; readonly pid: number; readonly log?: string }
  | { readonly is: "ended"; readonly code: number };

export const mark = "@millrace-spawn ";
/** Oldest Node that runs Millrace. */
export const leastNode = [20, 19] as const;

const script = String.raw`
var fs = require("fs"), os = require("os"), path = require("path"), cp = require("child_process");
function tell(news) { process.stdout.write("${mark}" + JSON.stringify(news) + "\n"); }
function refuse(code, what) { tell({ is: "refused", code: code, what: what }); process.exitCode = 1; process.stdin.destroy(); }
var text = "", begun = false;
process.stdin.setEncoding("utf8");
process.stdin.on("data", function take(more) {
  if (begun) return;
  text += more;
  var end = text.indexOf("\n");
  if (end < 0) return;
  begun = true;
  try { start(JSON.parse(text.slice(0, end))); } catch (error) { refuse("SPAWN_FAILED", String(error && error.message || error)); }
});
process.stdin.on("end", function () { if (!begun) process.exit(1); });
function start(order) {
  var version = process.versions.node.split(".").map(Number), least = ${JSON.stringify(leastNode)};
  if (version[0] < least[0] || (version[0] === least[0] && version[1] < least[1])) return refuse("NODE_TOO_OLD", process.versions.node + " (" + process.execPath + ")");
  var project = path.resolve(os.homedir(), order.project.replace(/^~(?=\/|$)/, os.homedir()));
  if (!fs.existsSync(project)) return refuse("PROJECT_MISSING", project);
  var main = mainIn(project);
  if (main === undefined) return refuse("MILLRACE_MISSING", project);
  var env = Object.assign({}, process.env, order.env), names = Object.keys(order.files), secrets;
  if (names.length > 0) {
    secrets = fs.mkdtempSync(path.join(os.tmpdir(), "millrace-spawn-"));
    names.forEach(function (name) { fs.writeFileSync(env[name] = path.join(secrets, name), Buffer.from(order.files[name], "base64"), { mode: 384 }); });
  }
  function clean() { if (secrets !== undefined) try { fs.rmSync(secrets, { recursive: true, force: true }); } catch (error) {} }
  var args = [main, "node"].concat(order.args);
  try {
    if (order.detach) return detached(project, args, env, secrets);
    var child = cp.spawn(process.execPath, args.concat("--with-parent"), { cwd: project, env: env, stdio: ["pipe", "pipe", "pipe"] });
  } catch (error) { clean(); throw error; }
  child.on("error", function (error) { clean(); refuse("SPAWN_FAILED", error.message); });
  child.on("spawn", function () { tell({ is: "running", pid: child.pid }); });
  child.stdout.pipe(process.stdout, { end: false });
  child.stderr.pipe(process.stdout, { end: false });
  // The line to who asked for it is cut: it leaves in order.
  function leave() { child.stdin.end(); }
  process.stdin.on("end", leave).on("close", leave).on("error", leave).resume();
  process.stdout.on("error", leave);
  ["SIGHUP", "SIGTERM", "SIGINT"].forEach(function (signal) { process.on(signal, leave); });
  child.on("close", function (code, signal) { clean(); tell({ is: "ended", code: code === null ? 128 + (os.constants.signals[signal] || 0) : code }); process.exitCode = code === null ? 1 : code; process.stdin.destroy(); });
}
function mainIn(project) {
  var at = [path.join(project, "node_modules", "millrace"), project];
  for (var i = 0; i < at.length; i++) {
    try { if (JSON.parse(fs.readFileSync(path.join(at[i], "package.json"), "utf8")).name !== "millrace") continue; } catch (error) { continue; }
    var main = path.join(at[i], "dist", "runtime", "cli", "main.js");
    if (fs.existsSync(main)) return main;
  }
}
function detached(project, args, env, secrets) {
  var folder = path.join(project, ".millrace");
  fs.mkdirSync(folder, { recursive: true });
  var log = path.join(folder, "spawn-" + Date.now().toString(36) + "-" + process.pid + ".log"), out = fs.openSync(log, "a", 384), at = 0, rest = "";
  var child = secrets === undefined ? cp.spawn(process.execPath, args, { cwd: project, env: env, stdio: ["ignore", out, out], detached: true })
    : cp.spawn("/bin/sh", ["-c", 'd=$1; shift; trap "kill -TERM \\$!" TERM INT HUP; "$@" & wait $!; c=$?; while kill -0 $! 2>/dev/null; do wait $!; c=$?; done; rm -rf "$d"; exit $c', "sh", secrets, process.execPath].concat(args), { cwd: project, env: env, stdio: ["ignore", out, out], detached: true });
  child.on("error", function (error) { refuse("SPAWN_FAILED", error.message); });
  tell({ is: "running", pid: child.pid, log: log });
  // Its first words are passed on, until whoever asked for it has heard enough.
  function look() {
    var size = fs.fstatSync(out).size, buffer = Buffer.alloc(Math.min(65536, size - at)), input = fs.openSync(log, "r");
    at += fs.readSync(input, buffer, 0, buffer.length, at);
    fs.closeSync(input);
    rest += buffer.toString("utf8");
    var lines = rest.split("\n");
    rest = lines.pop();
    lines.forEach(function (line) { process.stdout.write(line + "\n"); });
  }
  var timer = setInterval(look, 50);
  child.on("close", function (code, signal) { clearInterval(timer); look(); tell({ is: "ended", code: code === null ? 128 + (os.constants.signals[signal] || 0) : code }); process.exitCode = 1; process.stdin.destroy(); });
  process.stdin.on("end", done).on("close", done).on("error", done).resume();
  process.on("SIGHUP", done);
  function done() { clearInterval(timer); child.unref(); process.exit(0); }
}
`;

/** The command for the other machine's shell, whichever that is. `node`: the program there. Nothing secret is in it. */
export function commandThere(node: string): string {
  const run = `eval(Buffer.from("${Buffer.from(script).toString("base64")}","base64").toString())`, missing = JSON.stringify({ is: "refused", code: "NODE_MISSING", what: node } satisfies SpawnNews);
  return `exec /bin/sh -c ${quoted(`command -v ${quoted(node)} >/dev/null 2>&1 || { printf '%s\\n' ${quoted(mark + missing)}; exit 1; }; exec ${quoted(node)} -e ${quoted(run)}`)}`;
}

/** For a shell: one word, as it is. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
