// State as the records of a log say it: what is committed, whoever runs the actor now, or nobody.
import type { StateEntry } from "../flow/operator.ts";
import type { Key } from "../event/event.ts";
import { Assembler, decodeRecord } from "../journal/record.ts";
import { frozen } from "./frozen.ts";
import type { MemoryStream } from "./memory-stream.ts";

type Parts = Map<number | undefined, unknown>;

export class CommittedState {
  readonly #assembler = new Assembler();
  /** Accepted and not read yet; kept here, since an actor purges its log. */
  readonly #unread: Uint8Array[] = [];
  readonly #operators = new Map<number, Map<Key, Parts>>();

  constructor(log: MemoryStream) {
    log.watchers.add({ grown: () => this.#unread.push((log.at(log.bounds().last) as { readonly data: Uint8Array }).data), lost: () => {} });
  }

  /** All that an operator keeps of a key. */
  of(operator: number, key: Key): readonly StateEntry[] {
    for (const bytes of this.#unread.splice(0)) this.#apply(bytes);
    const parts = [...(this.#operators.get(operator)?.get(key) ?? [])].map(([part, value]): StateEntry => ({ key, part, value: frozen(value) }));
    return parts.sort((a, b) => (a.part ?? 0) - (b.part ?? 0));
  }

  #apply(bytes: Uint8Array): void {
    for (const row of this.#assembler.take(decodeRecord(bytes))?.body.state ?? []) {
      const [operator, , key, part, value] = row, keys = this.#operators.get(operator) ?? new Map<Key, Parts>(), parts = keys.get(key) ?? new Map();
      this.#operators.set(operator, keys);
      keys.set(key, parts);
      if (row.length === 5) parts.set(part ?? undefined, value);
      else if (parts.delete(part ?? undefined) && parts.size === 0) keys.delete(key);
    }
  }
}
