// Streams that the server writes to no more. After a write that failed (a full disk) nats-server 2.15 acknowledges nothing on that
// stream until it is started again, also when there is room, while it answers every question about it. 2.10 says what is wrong, and
// goes on by itself.
import type { MillraceError } from "../../event/errors.ts";
import { notWriting } from "../failures.ts";

/** No append to a stream was acknowledged for so long, in ms, and of so many: then the server is asked about it. */
const mute = { afterMs: 10_000, appends: 3 } as const;

interface Silence {
  since: number;
  appends: number;
  asking: boolean;
  isMute: boolean;
}

export interface MuteStreamsOptions {
  /** Monotonic ms. */
  readonly now: () => number;
  /** Whether the leader answers a question about a stream. */
  readonly answers: (stream: string) => Promise<boolean>;
  /** Told when one is found, and again after each further 10 s while it lasts. */
  readonly told: (streams: readonly string[]) => void;
}

export class MuteStreams {
  readonly #options: MuteStreamsOptions;
  /** Streams of which the last append was not acknowledged in time. */
  readonly #silent = new Map<string, Silence>();

  constructor(options: MuteStreamsOptions) {
    this.#options = options;
  }

  /** What is wrong with the server, as long as it is. */
  get fault(): MillraceError | undefined {
    const streams = this.#mute();
    return streams.length === 0 ? undefined : notWriting(streams);
  }

  #mute(): readonly string[] {
    return [...this.#silent].flatMap(([stream, { isMute }]) => (isMute ? [stream] : []));
  }

  /** An append ran out of time while the server was connected. */
  unanswered(stream: string): void {
    const now = this.#options.now(), silence = this.#silent.get(stream) ?? { since: now, appends: 0, asking: false, isMute: false };
    this.#silent.set(stream, silence);
    if (++silence.appends < mute.appends || now - silence.since < mute.afterMs || silence.asking) return;
    silence.asking = true;
    void this.#options.answers(stream).catch(() => false).then((answers) => {
      Object.assign(silence, { asking: false, since: this.#options.now(), appends: 0 });
      if (this.#silent.get(stream) !== silence) return;
      // What does not even answer is down, or slow.
      silence.isMute = answers;
      if (answers) this.#options.told(this.#mute());
    });
  }

  /** An append was answered, whatever was said. */
  answered(stream: string): void {
    if (this.#silent.size > 0) this.#silent.delete(stream);
  }

  /** The connection was lost: who comes back may be another server. */
  lost(): void {
    this.#silent.clear();
  }
}
