// What `millrace nodes` says of a node: whether it leads, and whether its actors are on their way to others.
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { membersOf } from "../../../runtime/cli/nodes.ts";
import type { NodeRecord } from "../../../runtime/cluster/node-record.ts";

const test = suite("nodes");
const member = (name: string, hosted: number): NodeRecord => ({ name, life: "1", beat: 1, state: "here", weight: 1, labels: [], version: "0", startedAt: 0, flows: [{ name: "f", code: "c", hosted, ended: 0, stuck: 0 }, { name: "g", code: "c", hosted: 0, ended: 0, stuck: 0 }] });

test("a node that takes no actors is draining while it has some and drained when it has none, and where it leads that is said, too", () => {
  const nodes = [member("n1", 2), member("n2", 3), member("n3", 0), member("n4", 0)];
  const states = (leader: string, ...cordoned: readonly string[]) => membersOf({ nodes, leader, cordoned }).map(({ state }) => state);
  assert.equal(states("n1"), ["leads", "here", "here", "here"]);
  assert.equal(states("n1", "n2", "n3"), ["leads", "draining", "drained", "here"]);
  assert.equal(states("n2", "n2", "n3"), ["here", "leads, draining", "drained", "here"]);
  assert.equal(states("n3", "n3"), ["here", "here", "leads, drained", "here"]);
});

test.run();
