// Keeps what is purged from the logs of actors, so that the whole log can be judged.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Broker } from "../../runtime/broker/broker.ts";
import { keep } from "./watched-parts.ts";

/** The broker itself, whose logs put a copy into the folder before they are purged. */
export function archived(broker: Broker, folder: string): Broker {
  mkdirSync(folder, { recursive: true });
  const open = broker.stream.bind(broker);
  broker.stream = (name, subject) => {
    const stream = open(name, subject);
    if (!subject.endsWith(".log")) return stream;
    const purge = stream.purge.bind(stream);
    stream.purge = async (before) => {
      await keep(join(folder, name), stream, before);
      await purge(before);
    };
    return stream;
  };
  return broker;
}
