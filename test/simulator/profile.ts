// What one schedule is like: how large the world is, what goes wrong in it and how often, how small the engine's limits are, so that
// what is rare in life is common here.
import type { Chance } from "./chance.ts";
import type { TargetKind } from "./target.ts";

export type Fault = "crash" | "kill" | "cut" | "pause" | "takeover" | "move" | "wipe" | "rollback" | "blackout" | "ruin" | "restore" | "old generation" | "late copy" | "revive";

export interface Profile {
  readonly nodes: readonly string[];
  /** Most events of one split. */
  readonly events: number;
  readonly target: TargetKind;
  readonly parallelism: number;
  readonly slowShare: number;
  readonly hurry: number;
  /** Whether writes to targets are slow. */
  readonly slowTargets: boolean;
  /** Lost, repeated and refused steps: how many, how often. */
  readonly messageFaults: number;
  readonly messageFaultShare: number;
  /** Of which steps: the names of the legs. */
  readonly legs: RegExp;
  readonly diskFaultShare: number;
  readonly handlerFaults: number;
  /** How often a life has a head start before it begins; one that takes over from an owner at work five times as often. */
  readonly headStarts: number;
  /** Crashes, kills, cuts …: how many, how often, which. */
  readonly faults: number;
  /** Steps before the first of them. */
  readonly faultsFrom: number;
  readonly faultShare: number;
  readonly kinds: readonly Fault[];
  /** Only after a step of such a lane. */
  readonly ambush: RegExp;
  /** In this order, instead of by chance. */
  readonly script: readonly Fault[];
  /** Whom they hit. */
  readonly aim: "source" | "processor" | "sink" | "any";
  /** After a loss a source gives all that it has at once: what is numbered anew is batched anew. */
  readonly batchesGrow: boolean;
  /** Of a power loss: which streams may lose their tails, how often each does, and how many messages at most. */
  readonly rollback: { readonly of: RegExp; readonly share: number; readonly most: number };
  /**
   * What a ruin takes: some records of the log and anything of the mailboxes; or just what readers have not read, and they crash and
   * read it again; or everything from the frame on that a reader is in the middle of, or only the log of that; or everything since the
   * claim before the newest.
   */
  readonly ruins: "anything" | "unread" | "begun" | "kept" | "claims";
  /** How long a zombie sleeps: until a sink's new owner has looked at its mailbox and not yet begun to read it, where it says so. */
  readonly sleep: "any" | "until looked";
  readonly retainMs: number;
  /** How often a stage is scaled. */
  readonly scales: number;
  /** For how many dead letters somebody asks, in flows that have them taken back. */
  readonly orders: number;
  /** How often sources wait with their end until no more is asked for. */
  readonly waitShare: number;
  // Limits of the engine.
  readonly maxPayload: number;
  readonly maxFrames: number;
  readonly turnEvents: number;
  readonly sourceBatch: number;
  readonly sendWindow: number;
  readonly unsettledFrames: number;
  readonly sinkBatch: number;
  readonly snapshotRecords: number;
  readonly inlineBytes: number;
  readonly chunkBytes: number;
  /** Most bytes of a frame. */
  readonly frameBytes: number;
}

const ordinary: readonly Fault[] = ["crash", "crash", "kill", "kill", "cut", "pause", "takeover", "takeover", "move", "wipe", "old generation"];

const losses: readonly Fault[] = ["rollback", "rollback", "blackout", "ruin", "ruin", "restore"];

/** While stages are scaled: also what was stored comes again, and who has sealed is looked after anew. */
export const scaled: Partial<Profile> = { scales: 2, faults: 4, faultShare: 0.01, faultsFrom: 0, events: 8, kinds: [...ordinary, "late copy", "late copy", "revive"] };
export const scaledWithLosses: Partial<Profile> = { ...scaled, kinds: [...(scaled.kinds as readonly Fault[]), ...losses] };

/** Of broken variants: nothing goes wrong but what they are about. */
export const calm: Partial<Profile> = { slowShare: 0.2, diskFaultShare: 0, handlerFaults: 0, headStarts: 0, messageFaults: 0, faults: 0, events: 6, nodes: ["a", "b"], maxPayload: 1024 * 1024, frameBytes: 1024 * 1024, retainMs: 0, script: [], aim: "any", faultsFrom: 60, slowTargets: false, ambush: /^/, ruins: "anything", sleep: "any" };
export const rescaled: Partial<Profile> = { ...scaled, ...calm, slowShare: 0.5, faults: 3, faultShare: 0.02, faultsFrom: 0, kinds: ["crash", "takeover", "kill"], events: 8, sourceBatch: 1, turnEvents: 1, maxFrames: 4_096 };
/** The same, and what a rule is about happens often: actors and nodes die; what a source has said is lost. */
export const crashes: Partial<Profile> = { ...calm, faults: 4, faultShare: 0.02, kinds: ["crash", "kill", "takeover"], hurry: 0 };
export const ruined: Partial<Profile> = { ...calm, faults: 1, faultShare: 0.02, faultsFrom: 90, script: ["ruin"], aim: "source", batchesGrow: true, sourceBatch: 1, rollback: { of: /^mr_/, share: 0.5, most: 8 }, maxFrames: 4_096, events: 8, hurry: 0 };

/** @param smallFrame bytes that any one event of the flow has room in */
export function profileOf(chance: Chance, smallFrame: number, given: Partial<Profile> = {}): Profile {
  const parts = chance.hits(0.15), loss = chance.hits(0.1);
  return {
    nodes: chance.hits(0.8) ? ["a", "b"] : ["a", "b", "c"],
    events: chance.of([2, 3, 4, 6, 8]),
    target: chance.of(["numbered", "file"] as const),
    parallelism: chance.of([0, 1, 2]),
    slowShare: chance.of([0, 0, 0.2, 0.5]),
    slowTargets: chance.hits(0.2),
    hurry: chance.of([0, 0, 0.005, 0.03]),
    messageFaults: chance.of([0, 1, 2, 4, 8]),
    messageFaultShare: chance.of([0.005, 0.02, 0.1]),
    legs: /^/,
    diskFaultShare: chance.hits(0.1) ? 0.02 : 0,
    handlerFaults: chance.of([0, 0, 1, 2]),
    headStarts: 0.1,
    faults: chance.of([0, 1, 2, 3, 4]),
    faultsFrom: chance.of([0, 0, 80, 150]),
    faultShare: chance.of([0.003, 0.01, 0.03]),
    kinds: loss ? [...ordinary, ...losses] : ordinary,
    ambush: /^/,
    script: [],
    aim: "any",
    batchesGrow: chance.hits(0.5),
    rollback: { of: /^mr_/, share: chance.of([0.2, 0.6]), most: chance.of([1, 4]) },
    ruins: chance.of(["anything", "unread"] as const),
    sleep: "any",
    retainMs: chance.hits(0.2) ? 1_000 : 0,
    scales: 0,
    orders: 0,
    waitShare: 0.8,
    maxPayload: parts ? chance.of([1_700, 2_000, 3_000]) : 1024 * 1024,
    maxFrames: chance.of([1, 2, 3, 16, 4_096]),
    turnEvents: chance.of([1, 2, 8_192]),
    sourceBatch: chance.of([1, 3]),
    sendWindow: chance.of([1, 2, 64]),
    unsettledFrames: chance.of([1, 1_024]),
    sinkBatch: chance.of([1, 2, 8_192]),
    snapshotRecords: chance.of([2, 3, 5, 1_024]),
    inlineBytes: chance.of([0, 100, 256 * 1024]),
    chunkBytes: parts ? 60 : chance.of([60, 512 * 1024]),
    frameBytes: parts ? 900 : chance.of([smallFrame, 1024 * 1024]),
    ...given,
  };
}
