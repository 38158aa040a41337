// The options by which a command is told where NATS is, and where the data are; and the way to a node that runs already.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { type Command, Option } from "commander";
import { connect } from "../broker/nats-broker.ts";
import { readConnection, startEmbedded } from "../broker/nats-server/embedded.ts";
import type { Broker } from "../broker/broker.ts";
import { MillraceError } from "../event/errors.ts";
import { type Connection, natsOptions } from "../node/connection.ts";

export interface NatsFlags {
  readonly dataDir: string;
  readonly nats?: string;
  readonly natsUser?: string;
  readonly natsPassword?: string;
  readonly natsCreds?: string;
  readonly natsCa?: string;
  readonly natsCert?: string;
  readonly natsKey?: string;
}

export function withNatsFlags(command: Command): Command {
  return command
    .option("--data-dir <folder>", "journals, the embedded server's store, logs", ".millrace")
    .option("--nats <url>", "a NATS server that runs already, several with commas; default MILLRACE_NATS, else one of its own in the data folder")
    .option("--nats-user <name>", "with MILLRACE_NATS_PASSWORD or --nats-password")
    .option("--nats-password <password>", "better in MILLRACE_NATS_PASSWORD: others see a command line")
    .option("--nats-creds <file>", "a .creds file; default MILLRACE_NATS_CREDS")
    .option("--nats-ca <file>", "TLS: certificate authority, PEM")
    .option("--nats-cert <file>", "TLS: certificate of this client, PEM")
    .option("--nats-key <file>", "TLS: its key, PEM")
    // For all connections of this process, the embedded server's included.
    .addOption(new Option("--nats-client <library>", "nats, or natsio: its successor @nats-io/transport-node; default MILLRACE_NATS_CLIENT, else nats").choices(["nats", "natsio"]))
    .on("option:nats-client", (name: string) => (process.env["MILLRACE_NATS_CLIENT"] = name));
}

/** `undefined`: none was given. */
export function connectionOf(flags: NatsFlags, env: NodeJS.ProcessEnv = process.env): Connection | undefined {
  const servers = flags.nats ?? env["MILLRACE_NATS"];
  if (servers === undefined || servers === "") return undefined;
  const user = flags.natsUser ?? env["MILLRACE_NATS_USER"], pass = flags.natsPassword ?? env["MILLRACE_NATS_PASSWORD"], credentials = flags.natsCreds ?? env["MILLRACE_NATS_CREDS"];
  const { natsCa: ca, natsCert: cert, natsKey: key } = flags, tls = ca !== undefined || cert !== undefined || servers.includes("tls://");
  return {
    servers: servers.split(",").map((one) => one.trim()),
    ...(user === undefined ? {} : { user }),
    ...(pass === undefined ? {} : { pass }),
    ...(credentials === undefined ? {} : { credentials }),
    ...(tls ? { tls: { ...(ca === undefined ? {} : { ca }), ...(cert === undefined ? {} : { cert }), ...(key === undefined ? {} : { key }) } } : {}),
  };
}

/**
 * Connects to where nodes are: the server that was named, else the one that a node of this data folder has started.
 * @throws MillraceError NODE_MISSING, UNREACHABLE, NATS_AUTH
 */
export async function reach(flags: NatsFlags): Promise<Broker> {
  const named = connectionOf(flags);
  if (named !== undefined) return await connect(await natsOptions(named));
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
export async function reachOrStart(flags: NatsFlags, say: (line: string) => void): Promise<Broker> {
  try {
    return await reach(flags);
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
