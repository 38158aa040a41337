// How the command ends, for scripts.
export const exitCode = {
  /** All is well; a flow has finished. */
  fine: 0,
  /** Something failed: a flow is parked, a check of `doctor` says so, a server is not there. */
  failed: 1,
  /** The command line is wrong. */
  usage: 2,
  /** Stopped by Ctrl-C (SIGINT) or SIGTERM. The next start goes on. */
  interrupted: 130,
} as const;

export const exitCodesText = "Exit codes: 0 fine, 1 failed or parked, 2 wrong usage, 130 interrupted (the next start goes on).";
