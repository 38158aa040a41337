// A sink to the standard output, for a person or the next program of a pipe.
import { defineSink, type FlowEvent, type SinkActor } from "../runtime/index.ts";
import { jsonText } from "./json-text.ts";

/**
 * Prints one line an event: a text as it is, all else as JSON. At least once: after a crash a batch may be printed again.
 * When nobody reads any more (EPIPE, as behind `head`), the rest is dropped quietly.
 */
export function stdout(): SinkActor<unknown> {
  return streamSink(() => process.stdout);
}

/** Nobody reads any more, and the stream is closed from then on. */
const gone = new Set<string | undefined>(["EPIPE", "ERR_STREAM_DESTROYED"]);

/** The same to any stream. */
export function streamSink(to: () => NodeJS.WritableStream): SinkActor<unknown> {
  return defineSink<unknown, never>({
    kind: "stdout", guarantee: "at-least-once",
    async open() {
      const stream = to();
      let closed = false;
      // Told to the write's callback, too; without a listener it would end the process.
      const onError = (): void => {};
      stream.on("error", onError);
      return {
        write({ events }) {
          if (closed || events.length === 0) return Promise.resolve();
          return new Promise<void>((done, fail) => {
            stream.write(`${events.map(lineOf).join("\n")}\n`, (error) => {
              if (error === undefined || error === null) return done();
              if (!gone.has((error as NodeJS.ErrnoException).code)) return fail(error);
              closed = true;
              done();
            });
          });
        },
        async close() {
          // After the write's callback the error event may still be on its way.
          setImmediate(() => stream.removeListener("error", onError));
        },
      };
    },
  });
}

function lineOf({ data }: FlowEvent): string {
  return typeof data === "string" ? data : jsonText(data);
}
