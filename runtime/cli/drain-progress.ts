// What is said while a node is drained: how far it is when that changes, and once for each reason what it waits for and what can be done about it.
import type { Colors } from "./terminal.ts";
import { duration, listed, several } from "./words.ts";

export interface DrainLook {
  /** How many actors run elsewhere already. */
  readonly moved: number;
  /** Moved, and not at work there yet. */
  readonly late: readonly string[];
  /** What is still on the node, and why, where no other node takes it. */
  readonly left: Readonly<Record<string, string | undefined>>;
}

export class DrainProgress {
  readonly #node: string;
  readonly #watchedMs: number;
  readonly #colors: Colors;
  #line = "";
  #whys = "";

  /** @param watchedMs so long it is watched, in ms */
  constructor(node: string, watchedMs: number, colors: Colors) {
    this.#node = node;
    this.#watchedMs = watchedMs;
    this.#colors = colors;
  }

  /** Lines to be said; mostly none. */
  news({ moved, late, left }: DrainLook): readonly string[] {
    const names = Object.keys(left), news: string[] = [];
    const line = `${this.#node}: ${several(moved, "actor")} moved${late.length === 0 ? "" : `, ${late.length} on the way (${listed(late, 3)})`}${names.length === 0 ? "" : `, ${names.length} left (${listed(names, 3)})`}`;
    if (line !== this.#line) news.push(line);
    const reasons = this.#reasons(left), whys = [...reasons.keys()].sort().join("\n");
    this.#line = line;
    // A leader that has just changed does not know them for a moment.
    if (whys !== "" && whys !== this.#whys) {
      news.push(...this.#waits(reasons));
      this.#whys = whys;
    }
    return news;
  }

  #reasons(left: DrainLook["left"]): ReadonlyMap<string, readonly string[]> {
    const reasons = new Map<string, string[]>(), stays = `stays on ${this.#node}: `;
    for (const [actor, why] of Object.entries(left)) {
      if (why === undefined || why === "") continue;
      const reason = why.startsWith(stays) ? why.slice(stays.length) : why;
      reasons.set(reason, [...(reasons.get(reason) ?? []), actor]);
    }
    return reasons;
  }

  #waits(reasons: ReadonlyMap<string, readonly string[]>): readonly string[] {
    const why = [...reasons].map(([reason, actors]) => `${this.#node}: waits for a node for ${listed(actors, 3)}, which ${actors.length === 1 ? "works" : "work"} on until then: ${reason}`);
    return [...why, `  ${this.#colors.dim("do")}  Start a node that may have ${[...reasons.values()].flat().length === 1 ? "it" : "them"} (millrace node), or take the drain back: millrace drain ${this.#node} --undo. It is watched for ${duration(this.#watchedMs)} at most; Ctrl-C ends the watching, not the drain.`];
  }
}
