// Moments in the life of a run that is disturbed at random: what comes when is the seed's, and nothing is waited for.
/** Resolves after `ms`. For the pace of faults; a test waits for things (waiting.ts). */
export function moment(ms: number): Promise<void> {
  return new Promise((come) => { setTimeout(come, ms); });
}
