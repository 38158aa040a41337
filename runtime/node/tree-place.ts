// What stands at an address of a node's tree.
import { MillraceError } from "../event/errors.ts";
import type { Root } from "../supervision/root.ts";
import type { TreeNode } from "../supervision/tree.ts";

/** `undefined`: nothing. */
export function treeAt(root: Root, id: string): TreeNode | undefined {
  try {
    return root.snapshot(id);
  } catch (error) {
    if (error instanceof MillraceError && error.code === "NOT_FOUND") return undefined;
    throw error;
  }
}

/** States of those of a flow's actors that are meant. */
export function actorStates(root: Root, flow: string, of: ReadonlySet<string>): readonly string[] {
  const tree = treeAt(root, flow);
  // What its supervisor has given up is stuck with it.
  return (tree?.children ?? []).flatMap((stage) => stage.children.filter(({ id }) => of.has(id)).map(({ state }) => (stage.state === "parked" || tree?.state === "parked" ? "parked" : state)));
}
