// A private nats-server with a configuration of the test's own, whole: for users, accounts and TLS. nats-server.ts starts what a node would.
import { execFile, spawn } from "node:child_process";
import { copyFile, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { findOrObtain } from "../../runtime/broker/nats-server/obtain.ts";
import { temporaryFolder } from "./temporary-folder.ts";
import { eventually } from "./waiting.ts";

export interface ConfiguredServer extends AsyncDisposable {
  readonly servers: string;
  readonly port: number;
  /** Configuration, store and log. */
  readonly folder: string;
  readonly version: string;
  /** Another configuration, read while it runs; resolves when nats-server says that it is in force. */
  reload(text: string): Promise<void>;
}

export interface Configuration {
  /** What lies beside the configuration, by name. */
  readonly files?: Readonly<Record<string, string>>;
  readonly env?: NodeJS.ProcessEnv;
  /** Such as "2.10". Default: the newest in the tested range. */
  readonly series?: string;
}

/** `text` names neither listen nor store_dir: both are made here, with JetStream where `text` does not have it itself. */
export async function startConfigured(text: string, { files = {}, env = {}, series }: Configuration = {}): Promise<ConfiguredServer> {
  const { path, version } = await findOrObtain(series === undefined ? {} : { series }), folder = await temporaryFolder();
  for (const [name, content] of Object.entries(files)) await writeFile(join(folder.path, name), content);
  const conf = join(folder.path, "test.conf"), log = join(folder.path, "server.log");
  const write = (its: string) => writeFile(conf, `${its}\nlisten: "127.0.0.1:-1"\nports_file_dir: "${folder.path}"\nlogfile: "${log}"\n${/^include/m.test(its) ? "" : `jetstream { store_dir: "${join(folder.path, "store")}" }\n`}`);
  await write(text);
  const child = spawn(path, ["-c", conf], { cwd: folder.path, env: { ...process.env, ...env }, stdio: "ignore" });
  const ended = new Promise<void>((resolve) => { child.once("exit", () => resolve()); child.once("error", () => resolve()); });
  const end = async (): Promise<void> => {
    child.kill("SIGKILL");
    await ended;
    await folder[Symbol.asyncDispose]();
  };
  try {
    const port = await eventually("nats-server listens", async () => {
      const name = (await readdir(folder.path)).find((file) => file.endsWith(`_${child.pid}.ports`));
      const { nats } = JSON.parse(await readFile(join(folder.path, name ?? "none.ports"), "utf8")) as { nats: readonly string[] };
      return Number(new URL(nats[0] as string).port);
    }, 30_000);
    const reloads = async () => (await readFile(log, "utf8")).split("Reloaded server configuration").length;
    const reload = async (its: string): Promise<void> => {
      const before = await reloads();
      await write(its);
      child.kill("SIGHUP");
      await eventually("the configuration is in force", async () => (await reloads()) > before);
    };
    return { servers: `nats://127.0.0.1:${port}`, port, folder: folder.path, version, reload, [Symbol.asyncDispose]: end };
  } catch (error) {
    const said = await readFile(log, "utf8").catch(() => "");
    await end();
    throw new Error(`${conf}: ${said.slice(-2_000)}`, { cause: error });
  }
}

const file = (name: string): string => fileURLToPath(new URL(`../../${name}`, import.meta.url));

export const roles = ["node", "operator", "viewer", "publisher"] as const;
export type Role = (typeof roles)[number];
export type Application = "shop" | "lab";

/** Of a role; none is like another, and none stands anywhere by chance. */
export const passwordOf = (role: Role, application: Application = "shop"): string => `pw-${application}-${role}-7f3c9e`;

/** How a role connects; a connection and options of the adapter alike. */
export const accessOf = (role: Role, application: Application = "shop"): { readonly user: string; readonly pass: string; readonly inbox: string } => ({ user: `${application}-${role}`, pass: passwordOf(role, application), inbox: `_INBOX_${role}` });

const environment: NodeJS.ProcessEnv = Object.fromEntries((["shop", "lab"] as const).flatMap((application) => roles.map((role) => [`${application}_${role}_PASSWORD`.toUpperCase(), passwordOf(role, application)])));

/** With the project's nats-roles.conf, as it is, and the accounts of a second application, "lab", beside those of "shop". */
export async function startWithRoles(series?: string): Promise<ConfiguredServer> {
  const text = (await readFile(file("nats-roles.conf"), "utf8")).replace(/^accounts \{\n([\s\S]*)^\}\n$/m, (_, shop: string) => `accounts {\n${shop}${shop.replaceAll("SHOP", "LAB").replaceAll("shop-", "lab-")}}\n`);
  return await startConfigured(`include "nats-roles.conf"\n`, { files: { "nats-roles.conf": text, "nats.conf": (await readFile(file("nats.conf"), "utf8")).replace('".millrace/nats/store"', '"./store"') }, env: environment, ...(series === undefined ? {} : { series }) });
}

/** `nats-server -t` of the project's files as they are; what it says. */
export async function checkRoles(series?: string): Promise<string> {
  const { path } = await findOrObtain(series === undefined ? {} : { series });
  await using folder = await temporaryFolder();
  for (const name of ["nats.conf", "nats-roles.conf"]) await copyFile(file(name), join(folder.path, name));
  const { stdout, stderr } = await promisify(execFile)(path, ["-t", "-c", join(folder.path, "nats-roles.conf")], { cwd: folder.path, env: { ...process.env, ...environment } });
  return stdout + stderr;
}
