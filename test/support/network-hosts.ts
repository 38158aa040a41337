// Hosts of their own on this machine, made of network namespaces, which an ordinary user may have: each has an address, a loopback interface and
// mounts of its own, and they reach each other over one bridge. Nothing of it is seen from outside, and nothing outside from within.
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { constants } from "node:os";
import { promisify } from "node:util";

const run = promisify(execFile);

export interface NetworkHost {
  readonly name: string;
  /** On the bridge that all of them share. */
  readonly address: string;
  /** Before a command: it runs there. In the folder /; `env -C` behind it changes that. */
  readonly prefix: readonly string[];
  /** Runs a shell's script there, as root of it. */
  sh(script: string, ...args: readonly string[]): Promise<string>;
}

export interface NetworkHosts<N extends string> extends AsyncDisposable {
  readonly hosts: Readonly<Record<N, NetworkHost>>;
}

/** Why this machine has no such hosts: a sentence. Use the rest with `await using`. */
export async function networkHosts<N extends string>(...names: readonly N[]): Promise<NetworkHosts<N> | string> {
  if (process.platform !== "linux") return "network namespaces are a thing of Linux";
  const holders: ChildProcess[] = [], made: Record<string, NetworkHost> = {};
  const hold = async (command: string, args: readonly string[]): Promise<string> => {
    const holder = spawn(command, [...args, "sh", "-c", "echo ready && exec cat"], { stdio: ["pipe", "pipe", "pipe"] });
    holders.push(holder);
    const said = await new Promise<string>((resolve) => {
      let text = "";
      for (const stream of [holder.stdout, holder.stderr]) stream.setEncoding("utf8").on("data", (more: string) => { text += more; if (text.includes("ready\n")) resolve("ready"); });
      holder.once("error", (error) => resolve(error.message)).once("exit", (code) => resolve(`${command} ended with ${code}: ${text.trim()}`));
    });
    if (said !== "ready") throw new Error(said);
    return String(holder.pid);
  };
  const dispose = async (): Promise<void> => {
    await Promise.all(holders.map((holder) => new Promise<void>((ended) => {
      if (holder.exitCode !== null || holder.signalCode !== null || holder.pid === undefined) return ended();
      holder.once("exit", () => ended());
      holder.kill("SIGKILL");
    })));
  };
  const into = (pid: string): readonly string[] => ["nsenter", "--preserve-credentials", "-U", "-n", "-m", "-t", pid];
  const sh = async (prefix: readonly string[], script: string, args: readonly string[]): Promise<string> => (await run(prefix[0] as string, [...prefix.slice(1), "sh", "-ec", script, "sh", ...args])).stdout;
  try {
    const bridge = into(await hold("unshare", ["-Urnm"]));
    await sh(bridge, "ip link set lo up; ip link add bridge type bridge; ip link set bridge up; ip addr add 10.77.0.254/24 dev bridge", []);
    for (const [at, name] of names.entries()) {
      const pid = await hold(bridge[0] as string, [...bridge.slice(1), "unshare", "-n", "-m"]), prefix = into(pid), address = `10.77.0.${at + 1}`;
      await sh(bridge, 'ip link add "v$1" type veth peer name "e$1"; ip link set "v$1" master bridge up; ip link set "e$1" netns "$2"', [String(at), pid]);
      await sh(prefix, 'ip link set lo up; ip link set "e$1" name eth0; ip addr add "$2/24" dev eth0; ip link set eth0 up', [String(at), address]);
      made[name] = { name, address, prefix, sh: (script, ...args) => sh(prefix, script, args) };
    }
  } catch (error) {
    await dispose();
    const { message, stderr = "" } = error as Error & { stderr?: string };
    return `${message} ${stderr}`.trim();
  }
  return { hosts: made as Record<N, NetworkHost>, [Symbol.asyncDispose]: dispose };
}

/** A process on a host, ended with it by a signal. */
export interface HostProcess extends AsyncDisposable {
  readonly child: ChildProcess;
  readonly output: string;
  readonly ended: Promise<number>;
}

export function startOn({ prefix }: NetworkHost, command: readonly string[], { cwd = "/", env = {} }: { readonly cwd?: string; readonly env?: Readonly<Record<string, string>> } = {}): HostProcess {
  const [program, ...args] = [...prefix, "env", "-C", cwd, ...command], child = spawn(program as string, args, { stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, ...env } });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text: string) => { output += text; });
  const ended = new Promise<number>((resolve) => child.once("close", (code, signal) => resolve(code ?? 128 + (constants.signals[signal as NodeJS.Signals] ?? 0))));
  return {
    child, ended,
    get output() { return output; },
    async [Symbol.asyncDispose]() {
      if (child.exitCode === null && child.signalCode === null) child.kill("SIGKILL");
      await ended;
    },
  };
}
