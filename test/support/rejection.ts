import { MillraceError } from "../../runtime/event/errors.ts";

/** What a promise rejects with, as our own error; throws where it resolves, or rejects with anything else. */
export async function rejection(promise: Promise<unknown>): Promise<MillraceError> {
  try {
    await promise;
  } catch (thrown) {
    if (thrown instanceof MillraceError) return thrown;
    throw new Error(`rejected with something else: ${thrown}`, { cause: thrown });
  }
  throw new Error("resolved, though it should reject");
}
