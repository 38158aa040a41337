// What it costs to scale a stage while events come as fast as they can: from 4 partitions to 8, and to 3, over three nodes, fsync before each ack.
import type { ScaleReceipt } from "../../runtime/node/scale-receipt.ts";
import { withThreeNodes } from "./three-nodes.ts";

export interface Rescaling {
  readonly keys: number;
  /** In their order. */
  readonly steps: readonly Pick<ScaleReceipt, "from" | "to" | "ms" | "moved" | "pauseMs" | "lost">[];
}

export function rescaling(keys: number): Promise<Rescaling> {
  return withThreeNodes({ partitions: 4, keys }, async ({ millrace }) => {
    const steps: Rescaling["steps"][number][] = [];
    for (const count of [8, 3]) {
      const said = await millrace("scale", "keyed/counts", String(count), "--json"), { receipt } = JSON.parse(said) as { readonly receipt: ScaleReceipt | null };
      if (receipt === null) throw new Error(`scale to ${count} gave no receipt: ${said}`);
      steps.push(receipt);
    }
    return { keys, steps };
  });
}
