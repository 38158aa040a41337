// Keeps what is purged from the logs of actors, so that the whole log can be judged.
import { appendFileSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Broker, BrokerStream, Stored } from "../../runtime/broker/broker.ts";

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

export async function keep(path: string, log: BrokerStream, before: number): Promise<void> {
  const { first } = await log.bounds(), found: Stored[] = [];
  if (before <= first) return;
  for await (const stored of log.read(first, before - 1)) found.push(stored);
  keepThese(path, found);
}

/** One line each: "sequence base64". The same may be kept twice, by two lives. */
export function keepThese(path: string, messages: readonly Stored[]): void {
  // The newline first: a line that a kill cut off stands alone, and is kept again.
  appendFileSync(path, `${messages.map(({ seq, data }) => `\n${seq} ${Buffer.from(data).toString("base64")}`).join("")}\n`);
}

/** What was kept of a purged log. */
export function kept(text: string): Stored[] {
  const found = new Map<number, Stored>();
  for (const line of text.split("\n")) {
    const [seq, data] = line.split(" ");
    if (seq === undefined || data === undefined || line === "") continue;
    // A line is cut off where the process died in it: then nothing was purged yet, and it is kept again.
    const message = { seq: Number(seq), data: Buffer.from(data, "base64") };
    if (message.data.length >= (found.get(message.seq)?.data.length ?? 0)) found.set(message.seq, message);
  }
  return [...found.values()].sort((a, b) => a.seq - b.seq);
}
