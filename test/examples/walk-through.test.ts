// test deadline: 400 s
// The walk-through of README on three terminals, command by command as it stands there: on three hosts of their own where this machine can have
// them. What each command prints is held to what README says that it prints; "…" there stands for what differs from time to time.
import { mkdir, readFile, symlink, writeFile } from "node:fs/promises";
import { createServer, type AddressInfo } from "node:net";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { findOrObtain } from "../../runtime/broker/nats-server/obtain.ts";
import { program } from "../support/cli-process.ts";
import { networkHosts } from "../support/network-hosts.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { fits, Terminal } from "../support/terminal.ts";
import { eventually } from "../support/waiting.ts";

const test = suite("README, three terminals"), root = fileURLToPath(new URL("../..", import.meta.url));

interface Step { readonly terminal: number; readonly command: string; readonly prints: string }

/** Blocks that begin with "# terminal N"; commands behind "$ ", what they print below. */
async function stepsOf(section: string): Promise<readonly Step[]> {
  const text = (await readFile(join(root, "README.md"), "utf8")).split(/^## /m).find((part) => part.startsWith(section)) ?? "";
  return [...text.matchAll(/^```\n# terminal (\d)[^\n]*\n([\s\S]*?)^```$/gm)].flatMap(([, terminal, block]) => (block as string).split(/^\$ /m).filter((part) => part.trim() !== "").map((part): Step => {
    const [command = "", ...prints] = part.split("\n");
    return { terminal: Number(terminal), command: command.replace(/ +# .*$/, ""), prints: prints.join("\n").trim() };
  }));
}

/** Those that only look: what they show comes to be what it says. */
const isLook = (command: string): boolean => /^millrace (tree|placement|nodes|flows)\b/.test(command);
/** Those that go on until they are ended. */
const isNode = (command: string): boolean => /millrace node\b/.test(command) && !/&\s*$/.test(command);

test("each command is run as it stands, and prints what stands there", async () => {
  await using folder = await temporaryFolder();
  const made = await networkHosts("one", "two", "three"), hosts = typeof made === "string" ? [] : [made.hosts.one, made.hosts.two, made.hosts.three];
  if (typeof made === "string") console.log(`  NOT on hosts of their own: ${made}`);
  const address = `${hosts[0]?.address ?? "127.0.0.1"}`, port = typeof made === "string" ? await freePort() : 4222, bin = join(folder.path, "bin"), shop = join(folder.path, "shop"), { path } = await findOrObtain();
  for (const name of [bin, join(shop, "node_modules")]) await mkdir(name, { recursive: true });
  for (const [name, to] of [["nats.conf", "nats.conf"], ["examples", "examples"], ["node_modules/millrace", "."]] as const) await symlink(join(root, to), join(shop, name));
  await writeFile(join(bin, "millrace"), `#!/bin/sh\nexec ${process.execPath} ${program.join(" ")} "$@"\n`, { mode: 0o755 });
  const env = { PATH: `${bin}:${dirname(path)}:${process.env["PATH"]}`, COLUMNS: "110", NO_COLOR: "1", FORCE_COLOR: "0", HOME: folder.path };
  const terminals = [1, 2, 3].map((at) => new Terminal({ cwd: shop, env, ...(hosts[at - 1] === undefined ? {} : { prefix: hosts[at - 1]?.prefix ?? [] }) }));
  try {
    const steps = await stepsOf("Three terminals");
    assert.ok(steps.length > 10, "the walk-through was found");
    for (const { terminal, command, prints } of steps) {
      const typed = command.replaceAll("127.0.0.1", address).replace("nats-server ", port === 4222 ? "nats-server " : `nats-server -p ${port} `).replaceAll(":4222", `:${port}`), expected = prints.replaceAll("127.0.0.1", address).replaceAll(":4222", `:${port}`);
      const shell = terminals[terminal - 1] as Terminal;
      let look = shell.type(typed), seen = "";
      await eventually(`terminal ${terminal}: ${typed}`, () => {
        const { output, code } = look();
        if (isNode(command)) return fits(expected, output, { isWhole: false });
        if (code === undefined) return false;
        seen = output;
        if (fits(expected, output)) return true;
        if (isLook(command)) look = shell.type(typed);
        else throw new Error("it has returned");
        return false;
      }, 120_000).catch((error: unknown) => { throw new Error(`terminal ${terminal}: ${typed}\nprinted:\n${seen || look().output}\nREADME says:\n${expected}\n${terminals.map(({ text }, at) => `terminal ${at + 1}, all of it: ${text.slice(-2_000)}`).join("\n")}`, { cause: error }); });
      if (process.env["MILLRACE_TEST_SHOW"]) console.log(`$ ${typed}\n${look().output}`);
    }
  } finally {
    for (const terminal of terminals) await terminal[Symbol.asyncDispose]();
    if (typeof made !== "string") await made[Symbol.asyncDispose]();
  }
});

async function freePort(): Promise<number> {
  const taken = createServer();
  const port = await new Promise<number>((given) => taken.listen(0, "127.0.0.1", () => given((taken.address() as AddressInfo).port)));
  await new Promise((closed) => taken.close(closed));
  return port;
}

test.run();
