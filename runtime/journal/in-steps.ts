// Work that nobody waits for yet is done in steps, and lets others go first.

/** The same, each when `calm` lets it: it gives what to wait for; `undefined`: nothing. Default: nothing, ever. */
export async function* inSteps<T>(all: AsyncIterable<T>, calm: (() => Promise<void> | undefined) | undefined): AsyncGenerator<T> {
  for await (const one of all) {
    const wait = calm?.();
    if (wait !== undefined) await wait;
    yield one;
  }
}
