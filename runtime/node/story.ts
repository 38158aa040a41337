// The decisions of a flow's supervisors in the stream `mr_story_<flow>`, for who asks from elsewhere. The node's own log of
// decisions is the truth (I8); this is published as soon as NATS is there, in order, and may hold one twice.
import type { Appended, Broker } from "../broker/broker.ts";
import type { Clock } from "../event/clock.ts";
import type { Decision } from "../supervision/decision.ts";

/** The oldest go when more wait: they are in the node's log. */
const most = 1_000;
const againMs = { min: 100, max: 5_000 } as const;

export function storyStream(flow: string): string {
  return `mr_story_${flow}`;
}

/** `mr.story.<flow>.<stage>.<g>.<p>`; of a stage's supervisor `p` is "all", of the flow's the stage is "-", too. */
export function storySubject(flow: string, offender: string, generation: (stage: string) => string | undefined): string {
  const [, stage, partition] = offender.split("/");
  return `mr.story.${flow}.${stage ?? "-"}.${(stage === undefined ? undefined : generation(stage)) ?? "-"}.${partition ?? "all"}`;
}

interface Entry {
  readonly stream: string;
  readonly subject: string;
  readonly data: Uint8Array;
}

export class Story {
  readonly #broker: Broker;
  readonly #clock: Clock;
  #waiting: Entry[] = [];
  #busy = false;
  #delay = 0;
  #cancel = (): void => {};
  #closed = false;

  constructor(broker: Broker, clock: Clock) {
    this.#broker = broker;
    this.#clock = clock;
  }

  tell(flow: string, subject: string, decision: Decision): void {
    if (this.#waiting.length >= most) this.#waiting.shift();
    this.#waiting.push({ stream: storyStream(flow), subject, data: Buffer.from(JSON.stringify(decision)) });
    this.send();
  }

  /** Sends what waits, one at a time: called again when NATS is back. */
  send(): void {
    const [next] = this.#waiting;
    if (next === undefined || this.#busy || this.#closed || !this.#broker.connected) return;
    // It stays in the node's log alone, and keeps none from being told.
    if (next.data.length > this.#broker.maxPayload) {
      this.#waiting.shift();
      return this.send();
    }
    this.#busy = true;
    void this.#broker.stream(next.stream, next.subject).append(next.data).then((outcome) => this.#over(next, outcome));
  }

  close(): void {
    this.#closed = true;
    this.#cancel();
  }

  #over(sent: Entry, outcome: Appended): void {
    this.#busy = false;
    if (this.#closed) return;
    const at = this.#waiting.indexOf(sent);
    // What is refused for certain would be refused again.
    if ((typeof outcome === "number" || outcome === "refused") && at >= 0) this.#waiting.splice(at, 1);
    if (typeof outcome === "number") {
      this.#delay = 0;
      return this.send();
    }
    // Those of other flows may be taken.
    this.#waiting = [...this.#waiting.filter(({ stream }) => stream !== sent.stream), ...this.#waiting.filter(({ stream }) => stream === sent.stream)];
    this.#delay = Math.min(againMs.max, Math.max(againMs.min, this.#delay * 2));
    this.#cancel();
    this.#cancel = this.#clock.after(this.#delay, () => this.send());
  }
}
