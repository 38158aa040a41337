// A source whose last events come only when a test says so: the flow lasts until then, however slow the machine is.
import { sourceOf } from "../../runtime/flow/source.ts";
import { defineSource, type PullSource, type SourceActor } from "../../runtime/index.ts";

/** `isHeld`: an event that waits for `until`, with all that come after it. */
export function lasting<T>(source: SourceActor<T>, isHeld: (data: T) => boolean, until: Promise<void>): SourceActor<T> {
  const { read, ...its } = sourceOf(source) as unknown as PullSource<T, number>;
  return defineSource<T, number>({
    ...its,
    async *read(from, ctx) {
      const stopped = new Promise<void>((resolve) => { ctx.signal.addEventListener("abort", () => resolve(), { once: true }); });
      for await (const some of read(from, ctx)) {
        if ((Array.isArray(some) ? some : [some]).some(({ data }) => data !== undefined && isHeld(data))) await Promise.race([until, stopped]);
        if (ctx.signal.aborted) return;
        yield some;
      }
    },
  });
}
