// An upgrade of a flow that runs: its actors go over to another code, one by one. It stands with the flow in the cluster's log, which code each
// actor has with its seat; so whoever leads next goes on with it.

export interface Upgrade {
  /** Hash of the code that actors go over to. What they leave is the flow's. */
  readonly to: string;
  /** Number of the record that began it. */
  readonly since: number;
  /** - `forward`: actors go over, one after the other. - `held`: nobody does, until a person says how to go on. - `back`: those that went over return. */
  readonly is: "forward" | "held" | "back";
  /** Only so many actors of a stage go over; then it is held. `null`: all of all stages. */
  readonly canary: Canary | null;
  /** Of one that holds by itself: which actor did not go on with the code that it was given, and why. */
  readonly failed: FailedActor | null;
}

export interface Canary {
  readonly stage: string;
  readonly count: number;
}

export interface FailedActor {
  readonly actor: string;
  readonly code: string;
  readonly message: string;
}

/** What an actor came to under the code of its seat, as its node tells. */
export interface FailedSeat extends FailedActor {
  /** Number of the record that gave it that code. */
  readonly since: number;
  /** Hash of the code under which it works on, where the other was not even begun. */
  readonly kept?: string;
}

export function isUpgrade(value: unknown): value is Upgrade {
  const its = value as Partial<Record<keyof Upgrade, unknown>> | null | undefined;
  return typeof its === "object" && typeof its?.to === "string" && Number.isSafeInteger(its.since) && ["forward", "held", "back"].includes(its.is as string) && (its.canary === null || isCanary(its.canary)) && (its.failed === null || isFailed(its.failed));
}

export function isCanary(value: unknown): value is Canary {
  const its = value as Partial<Record<keyof Canary, unknown>> | null | undefined;
  return typeof its?.stage === "string" && Number.isSafeInteger(its.count);
}

function isFailed(value: unknown): value is FailedActor {
  const its = value as Partial<Record<keyof FailedActor, unknown>> | undefined;
  return typeof its?.actor === "string" && typeof its.code === "string" && typeof its.message === "string";
}
