// The options by which a command is told where NATS is, and where the data are; and the way to a node that runs already.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { type Command, Option } from "commander";
import { connect } from "../broker/nats-broker.ts";
import { readConnection, startEmbedded } from "../broker/nats-server/embedded.ts";
import type { Broker } from "../broker/broker.ts";
import { MillraceError } from "../event/errors.ts";
import { type Connection, natsOptions, withoutUser } from "../node/connection.ts";

export interface NatsFlags {
  readonly dataDir: string;
  readonly nats?: string;
  readonly natsUser?: string;
  readonly natsPassword?: string;
  readonly natsPasswordFile?: string;
  readonly natsCreds?: string;
  readonly natsNkey?: string;
  readonly natsInbox?: string;
  readonly natsTlsCa?: string;
  readonly natsTlsCert?: string;
  readonly natsTlsKey?: string;
  readonly natsReplicas?: string;
}

const variables = ["MILLRACE_NATS", "MILLRACE_NATS_USER", "MILLRACE_NATS_PASSWORD", "MILLRACE_NATS_PASSWORD_FILE", "MILLRACE_NATS_CREDS", "MILLRACE_NATS_NKEY", "MILLRACE_NATS_INBOX", "MILLRACE_NATS_TLS_CA", "MILLRACE_NATS_TLS_CERT", "MILLRACE_NATS_TLS_KEY", "MILLRACE_NATS_REPLICAS"] as const;
type Variable = (typeof variables)[number];

export function withNatsFlags(command: Command): Command {
  command
    .option("--data-dir <folder>", "journals, the embedded server's store, logs", ".millrace")
    .option("--nats <url>", "a NATS server that runs already, several with commas; default MILLRACE_NATS, else one of its own in the data folder")
    .option("--nats-user <name>", "with one of the next two, or MILLRACE_NATS_PASSWORD; default MILLRACE_NATS_USER")
    .option("--nats-password-file <file>", "a file with the password and nothing else; default MILLRACE_NATS_PASSWORD_FILE")
    .option("--nats-password <password>", "others on this machine see a command line, and it cannot be hidden: better the file, or MILLRACE_NATS_PASSWORD")
    .option("--nats-creds <file>", "a .creds file; default MILLRACE_NATS_CREDS")
    .option("--nats-nkey <file>", "a file with the seed of an nkey; default MILLRACE_NATS_NKEY")
    .option("--nats-inbox <prefix>", "where answers come, if permissions bind it, such as _INBOX_viewer; default MILLRACE_NATS_INBOX, else _INBOX")
    .option("--nats-tls-ca <file>", "TLS: the authority that signed the server's certificate, PEM; default MILLRACE_NATS_TLS_CA")
    .option("--nats-tls-cert <file>", "TLS: certificate of this client, PEM; default MILLRACE_NATS_TLS_CERT")
    .option("--nats-tls-key <file>", "TLS: its key, PEM; default MILLRACE_NATS_TLS_KEY")
    .option("--nats-replicas <n>", "in a NATS cluster: how many servers hold each stream that is made here, 1 or 3; default MILLRACE_NATS_REPLICAS, else 1")
    // For all connections of this process, the embedded server's included.
    .addOption(new Option("--nats-client <library>", "nats, or natsio: its successor @nats-io/transport-node; default MILLRACE_NATS_CLIENT, else nats").choices(["nats", "natsio"]))
    .on("option:nats-client", (name: string) => (process.env["MILLRACE_NATS_CLIENT"] = name));
  // Every command has them: they stand behind its own in its help.
  for (const option of command.options) if (option.long?.startsWith("--nats-") === true) option.helpGroup("Options of the way to NATS:");
  return command;
}

/** `undefined`: none was given. */
export function connectionOf(flags: NatsFlags, env: NodeJS.ProcessEnv = process.env): Connection | undefined {
  const of = (flag: string | undefined, variable: Variable): string | undefined => flag ?? (env[variable] || undefined);
  const servers = of(flags.nats, "MILLRACE_NATS");
  if (servers === undefined) return undefined;
  const urls = servers.split(",").map((one) => withoutUser(one.trim())), named = urls.find((url) => url.user !== undefined);
  // What the command line names goes before the environment, in whichever form.
  const inFile = flags.natsPassword === undefined && flags.natsPasswordFile !== undefined, pass = inFile ? undefined : (of(flags.natsPassword, "MILLRACE_NATS_PASSWORD") ?? named?.pass);
  const ca = of(flags.natsTlsCa, "MILLRACE_NATS_TLS_CA"), cert = of(flags.natsTlsCert, "MILLRACE_NATS_TLS_CERT"), key = of(flags.natsTlsKey, "MILLRACE_NATS_TLS_KEY"), replicas = of(flags.natsReplicas, "MILLRACE_NATS_REPLICAS");
  const hasTls = ca !== undefined || cert !== undefined || servers.includes("tls://");
  return {
    servers: urls.map(({ server }) => server),
    ...optional({
      user: of(flags.natsUser, "MILLRACE_NATS_USER") ?? named?.user, pass, passFile: pass === undefined ? of(flags.natsPasswordFile, "MILLRACE_NATS_PASSWORD_FILE") : undefined,
      credentials: of(flags.natsCreds, "MILLRACE_NATS_CREDS"), nkey: of(flags.natsNkey, "MILLRACE_NATS_NKEY"), inbox: of(flags.natsInbox, "MILLRACE_NATS_INBOX"),
      tls: hasTls ? optional({ ca, cert, key }) : undefined,
      // What is neither 1 nor 3 is refused where it is used.
      replicas: replicas === undefined ? undefined : (Number(replicas) as 1 | 3),
    }),
  };
}

/** The environment in which another process is told of the same connection, and of no other: a command line is seen by others. */
export function environmentOf({ servers = "nats://127.0.0.1:4222", user, pass, passFile, credentials, nkey, inbox, tls, replicas }: Connection, env: NodeJS.ProcessEnv = process.env): NodeJS.ProcessEnv {
  const told: Readonly<Record<Variable, string | undefined>> = {
    MILLRACE_NATS: [servers].flat().join(","), MILLRACE_NATS_USER: user, MILLRACE_NATS_PASSWORD: pass, MILLRACE_NATS_PASSWORD_FILE: passFile, MILLRACE_NATS_CREDS: credentials, MILLRACE_NATS_NKEY: nkey,
    MILLRACE_NATS_INBOX: inbox, MILLRACE_NATS_TLS_CA: tls?.ca, MILLRACE_NATS_TLS_CERT: tls?.cert, MILLRACE_NATS_TLS_KEY: tls?.key,
    MILLRACE_NATS_REPLICAS: replicas === undefined ? undefined : String(replicas),
  };
  const others = Object.entries(env).filter(([name]) => !(variables as readonly string[]).includes(name));
  return { ...Object.fromEntries(others), ...optional(told) };
}

/** Without what is not there. */
function optional<T extends object>(of: T): { [name in keyof T]?: Exclude<T[name], undefined> } {
  return Object.fromEntries(Object.entries(of).filter(([, value]) => value !== undefined)) as { [name in keyof T]?: Exclude<T[name], undefined> };
}

/**
 * Connects to where nodes are: the server that was named, else the one that a node of this data folder has started. `refused`: told, once for
 * each subject, what the server does not let this user do.
 * @throws MillraceError NODE_MISSING, UNREACHABLE, NATS_AUTH, NATS_TLS, NATS_PERMISSION
 */
export async function reach(flags: NatsFlags, refused?: (error: MillraceError) => void): Promise<Broker> {
  const named = connectionOf(flags);
  if (named !== undefined) return await connect({ ...(await natsOptions(named)), ...(refused === undefined ? {} : { refused }) });
  // Half written, or of something else: then nobody can be reached by it.
  const left = await readConnection(flags.dataDir).catch(() => undefined);
  if (left === undefined) throw missing(flags.dataDir);
  return await connect(left).catch((error: unknown) => {
    // The file of a node that was killed.
    if (error instanceof MillraceError && ["UNREACHABLE", "NATS_AUTH"].includes(error.code)) throw missing(flags.dataDir, error);
    throw error;
  });
}

/**
 * The same; where no node runs, the server of the data folder is started for as long as the broker is open.
 * @throws MillraceError NODE_MISSING where nothing was stored there either, and what startBroker throws
 */
export async function reachOrStart(flags: NatsFlags, say: (line: string) => void, refused?: (error: MillraceError) => void): Promise<Broker> {
  try {
    return await reach(flags, refused);
  } catch (error) {
    if (!(error instanceof MillraceError) || error.code !== "NODE_MISSING" || !existsSync(join(flags.dataDir, "nats", "store"))) throw error;
    const server = await startEmbedded({ dataDir: flags.dataDir, say });
    try {
      const broker = await connect(server), close = broker.close.bind(broker);
      broker.close = () => close().finally(() => server.stop());
      return broker;
    } catch (failure) {
      await server.stop();
      throw failure;
    }
  }
}

function missing(dataDir: string, cause?: unknown): MillraceError {
  return new MillraceError("NODE_MISSING", dataDir, "No node runs on this data folder", "Start one with `millrace run <flow>`, name its folder with --data-dir, or its server with --nats.", cause === undefined ? {} : { cause });
}
