// Which dead letters a command is about.
import type { Command } from "commander";
import { type NatsFlags, withNatsFlags } from "./nats-options.ts";

export interface FilterFlags extends NatsFlags {
  readonly stage?: string;
  readonly code?: string;
  readonly open?: true;
}

export function withFilterFlags(command: Command): Command {
  return withNatsFlags(command).option("--stage <name>", "of one stage").option("--code <code>", "of one reason, such as TERMINAL");
}
