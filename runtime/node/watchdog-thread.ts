// The watchdog's side in its own thread. It becomes a text that the thread is started with (watchdog.ts), so it uses nothing from
// outside itself: from a bundle, from source and from a build it is the same.

/** What the thread is started with. */
export interface WatchdogTask {
  readonly cells: Int32Array;
  /** Of `cells`: the beat, who is at hand, where those begin who have something under way. */
  readonly beat: number;
  readonly current: number;
  readonly first: number;
  readonly stallMs: number;
  readonly node: string;
  /** JSON lines are added to it. */
  readonly log: string;
}

/** Looks whether the beat goes on, and says on the standard error and in the log where it does not: the other thread cannot. */
export function watchLoop(): void {
  const { parentPort, workerData } = process.getBuiltinModule("node:worker_threads"), { appendFileSync, readFileSync, writeSync } = process.getBuiltinModule("node:fs");
  const { Session } = process.getBuiltinModule("node:inspector"), { SourceMap } = process.getBuiltinModule("node:module"), { fileURLToPath } = process.getBuiltinModule("node:url");
  const { cells, beat, current, first, stallMs, node, log } = workerData as WatchdogTask, names: string[] = [], tickMs = Math.max(10, Math.min(500, stallMs / 10));
  parentPort?.on("message", ([seat, address]: [number, string]) => { names[seat] = address; });

  const say = (level: number, message: string, fields: object): void => {
    try {
      writeSync(2, `! ${message}\n`);
    } catch { /* nobody reads it */ }
    try {
      appendFileSync(log, `${JSON.stringify({ level, time: new Date().toISOString(), node, code: "LOOP_STALLED", ...fields, msg: message })}\n`);
    } catch { /* no room, or the folder is gone: it was said */ }
  };
  const seconds = (ms: number): string => `${(ms / 1_000).toFixed(1)} s`;
  const told = (): { readonly words: string; readonly actor: string | null } => {
    const actor = names[cells[current] as number] ?? null;
    if (actor !== null) return { actor, words: `${actor} is in its handler` };
    const busy = names.filter((_, seat) => cells[first + seat] === 1);
    return { actor: busy.length === 1 ? (busy[0] as string) : null, words: busy.length === 0 ? "no handler is at hand" : `no handler has just begun; under way are those of ${busy.slice(0, 4).join(", ")}${busy.length > 4 ? ` and ${busy.length - 4} more` : ""}` };
  };
  // Where in the author's file: a bundle has its source map in it.
  const placeOf = (url: string, line: number, column: number): string => {
    try {
      const path = url.startsWith("file:") ? fileURLToPath(url) : url, text = readFileSync(path, "utf8"), mark = "sourceMappingURL=data:application/json;base64,", at = text.lastIndexOf(mark);
      if (at < 0) return `${path}:${line + 1}`;
      const entry = new SourceMap(JSON.parse(Buffer.from(text.slice(at + mark.length), "base64").toString("utf8"))).findEntry(line, column);
      return "originalSource" in entry ? `${entry.originalSource.startsWith("file:") ? fileURLToPath(entry.originalSource) : entry.originalSource}:${entry.originalLine + 1}` : `${path}:${line + 1}`;
    } catch {
      return `${url}:${line + 1}`;
    }
  };
  // Stops the other thread for a moment, at whatever it does, to read its stack. Native code cannot be stopped: then it is not told.
  const look = (actor: string | null): void => {
    const session = new Session(), urls = new Map<string, string>();
    const leave = (): void => { try { session.disconnect(); } catch { /* it is closed */ } };
    try {
      session.connectToMainThread();
      session.on("Debugger.scriptParsed", ({ params }) => urls.set(params.scriptId, params.url));
      session.on("Debugger.paused", ({ params: { callFrames } }) => {
        const places = callFrames.filter(({ location: { scriptId } }) => !(urls.get(scriptId) ?? "node:").startsWith("node:")).slice(0, 3)
          .map(({ functionName, location: { scriptId, lineNumber, columnNumber } }) => `${functionName === "" ? "" : `${functionName} `}${placeOf(urls.get(scriptId) ?? "", lineNumber, columnNumber ?? 0)}`);
        session.post("Debugger.resume");
        session.post("Debugger.disable", leave);
        if (places.length > 0) say(50, `LOOP_STALLED: it stands in ${places.join(", called by ")}`, { actor, stack: places });
      });
      session.post("Debugger.enable");
      session.post("Debugger.pause");
      setTimeout(leave, 1_000).unref();
    } catch {
      leave();
    }
  };

  let last = -1, silentMs = 0, sayAt = stallMs, at = performance.now(), whose: string | null = null;
  setInterval(() => {
    const now = performance.now(), passed = now - at, count = Atomics.load(cells, beat);
    at = now;
    if (count !== last) {
      if (silentMs >= stallMs) say(40, `LOOP_STALLED is over: the event loop of node ${node} stood still for ${seconds(silentMs)}`, { actor: whose, stoodMs: Math.round(silentMs) });
      last = count;
      silentMs = 0;
      sayAt = stallMs;
      return;
    }
    // More than that is no silence of the other thread: the whole process stood still, the machine slept.
    silentMs += Math.min(passed, 3 * tickMs);
    if (silentMs < sayAt) return;
    const { words, actor } = told();
    whose = actor;
    say(50, `LOOP_STALLED: the event loop of node ${node} stands still for ${seconds(silentMs)}, since ${new Date(Date.now() - silentMs).toISOString()}; ${words}. Nothing else on this node goes on: give what takes long to a worker (isolate: "worker"), or make it async. Ctrl-C is not heard meanwhile: \`kill -9 ${process.pid}\` ends the process, and nothing is lost`, { actor, stoodMs: Math.round(silentMs) });
    if (sayAt === stallMs) look(actor);
    sayAt = 2 * silentMs;
  }, tickMs);
}
