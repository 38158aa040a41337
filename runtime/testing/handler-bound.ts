// What `isolate: "worker"` comes to in a test, where all actors share one thread: a handler that does not give the loop back is ended at
// its deadline, in the middle, as the end of its thread would end it. What it does after its first `await` is not bounded so.
import { Script } from "node:vm";

const slot = Symbol.for("millrace.testing.bounded");
const script = new Script(`globalThis[Symbol.for(${JSON.stringify(slot.description)})]()`, { filename: "millrace-bounded-handler.js" });
const shared = globalThis as { [slot]?: (() => unknown) | undefined };
let isBounded = false;

/**
 * Calls, and ends the call where it is not back after so long. Within such a call further ones are bounded with it.
 * @returns what it gives; `ended`, called, where it was ended: nothing of it goes on, and what it was about to change may be half changed
 */
export function bounded<T>(ms: number, call: () => T, ended: () => T): T {
  if (isBounded) return call();
  const before = shared[slot];
  isBounded = true;
  shared[slot] = call;
  try {
    return script.runInThisContext({ timeout: Math.max(1, Math.min(2 ** 31 - 1, Math.ceil(ms))) }) as T;
  } catch (error) {
    if ((error as { code?: unknown } | null)?.code !== "ERR_SCRIPT_EXECUTION_TIMEOUT") throw error;
    return ended();
  } finally {
    isBounded = false;
    shared[slot] = before;
  }
}
