// For every rule of the protocol that a model showed to be needed (†) and that is built: the engine with that rule broken. Each must
// be caught by the same schedules that the whole engine passes.
import { channelVariants } from "./channel-variants.ts";
import { letterVariants } from "./letter-variants.ts";
import { logVariants } from "./log-variants.ts";
import { scalingVariants } from "./scaling-variants.ts";
import { sinkVariants } from "./sink-variants.ts";
import type { Variant } from "./variant.ts";

export const variants: readonly Variant[] = [...logVariants, ...channelVariants, ...sinkVariants, ...scalingVariants, ...letterVariants];
