// Streams that many write to, each on its own subject: a flow's dead letters (P29), of which those of records beyond the stated commit are
// left out, since they would be taken for the ones that the records decided anew will hold; and its decisions, all of them.
import type { StreamSpec } from "../broker/broker.ts";
import type { CopyPlace } from "./actor-copy.ts";
import type { StreamManifest } from "./manifest.ts";
import { isKnown, type Senders } from "./mailbox-copy.ts";
import { StreamFileWriter } from "./stream-file.ts";

/** So many are asked for at a time: a read by a consumer does not tell the subject. */
const atOnce = 32;

/** @throws MillraceError UNREACHABLE, FRAME_NEWER */
export async function copyChains(spec: StreamSpec, senders: Senders | undefined, { broker, file, wrote }: CopyPlace): Promise<StreamManifest> {
  const stream = broker.stream(spec.name, spec.subject), { first, last } = await stream.bounds(), place = file(spec.name), writer = await StreamFileWriter.create(place.path);
  let holes = false, seq = first - 1, largest = 0;
  try {
    for (let from = first; from <= last; from += atOnce) {
      const page = await Promise.all(Array.from({ length: Math.min(atOnce, last - from + 1) }, (_, i) => stream.get(from + i)));
      for (const stored of page) {
        // Decisions that are superseded leave holes; what is 30 days old goes.
        if (stored?.subject === undefined || (senders !== undefined && isKnown(stored.data, senders) === undefined)) { holes = true; continue; }
        await writer.add({ seq: ++seq, data: stored.data }, stored.subject);
        wrote(stored.data.length);
        largest = Math.max(largest, stored.data.length);
      }
    }
    const sum = await writer.close();
    return { spec, file: place.file, first, last: seq, largest, verbatim: !holes, ...sum };
  } catch (error) {
    await writer.abandon();
    throw error;
  }
}
