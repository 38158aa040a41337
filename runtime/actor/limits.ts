// How much an actor takes before it must commit, and before it must wait (P8, P14). Objects, so that a test can make rare paths common.

/** A turn closes at so many events or bytes, and always when the log is free (P8). */
export const turnLimit = { events: 8_192, bytes: 4 * 1024 * 1024 };
/** More than that committed and not settled: nothing new is taken (P14). */
export const unsettledLimit = { frames: 1_024, bytes: 32 * 1024 * 1024 };
/** Room that a frame leaves in the largest message of the broker, for the round and headers. */
export const frameReserve = { bytes: 64 * 1024 };
/** What need not be committed at once waits so long for something that must, in ms: positions, watermarks without events. */
export const laterMs = 200;
/** So long an actor works without letting acks and other actors in, in ms. */
export const sliceMs = 8;
/** After an unclean end turns are so small, in events, until what was in flight is past: a second death leaves few suspects. */
export const cautiousTurn = { events: 32 };
/** Of a sender that was silent for so long it is asked whether it is over (P30), in ms; Infinity: never. */
export const silence = { ms: 60_000 };
/** The wall clock may be set: who waits for a time on it looks again after so long at most, in ms. */
export const wallLookMs = 30_000;
/** With more events, or bytes of them, waiting for a later try or behind one the actor takes nothing new (PROTOCOL 9, retry). */
export const waitingLimit = { events: 10_000, bytes: 16 * 1024 * 1024 };
