// A source of made-up events that takes its time while a test looks at the flow, and none once the test has seen what it wanted.
import { existsSync } from "node:fs";
import { defineSource, type SourceActor } from "millrace";
import { generate, type GenerateOptions } from "millrace/actors";
import { type PullSource, sourceOf } from "../../runtime/flow/source.ts";

type Numbered = PullSource<unknown, number>;

/** What `generate` makes, at its rate; as fast as it is taken once the file `hurry` is there. */
export function unhurried<T>(options: GenerateOptions<T>, hurry: string | undefined): SourceActor<T> {
  if (hurry === undefined) return generate(options);
  const { rate: _, ...fast } = options, slowly = sourceOf(generate(options)) as Numbered, quickly = sourceOf(generate(fast)) as Numbered;
  return defineSource<unknown, number>({
    ...slowly,
    async *read(from, ctx) {
      let at = from;
      for await (const made of slowly.read(from, ctx)) {
        yield made;
        at = [made].flat().at(-1)?.position ?? at;
        if (existsSync(hurry)) break;
      }
      yield* quickly.read(at, ctx);
    },
  }) as SourceActor<T>;
}
