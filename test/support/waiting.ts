// Waiting for things, never for time: each wait has a bound and says what it waited for.

/** The promise, or an error after `ms` that says what did not come. */
export async function within<T>(ms: number, what: string, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: not within ${ms} ms`)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Asks again, every few ms, until `check` gives something other than `undefined` or `false`; the error tells the last reason. */
export async function eventually<T>(what: string, check: () => T | undefined | false | Promise<T | undefined | false>, ms = 10_000): Promise<T> {
  const end = performance.now() + ms;
  let reason: unknown;
  do {
    try {
      const found = await check();
      if (found !== undefined && found !== false) return found;
    } catch (thrown) {
      reason = thrown;
    }
    await new Promise((resolve) => setTimeout(resolve, 5));
  } while (performance.now() < end);
  throw new Error(`${what}: not within ${ms} ms`, { cause: reason });
}
