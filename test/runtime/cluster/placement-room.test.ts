// So many actors that a record with all of them is as large as a message may be.
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { place, type Seat } from "../../../runtime/cluster/placement.ts";
import { actorsOf, decodePlacement, encodePlacement, type FlowSeats, type PlacementRecord, seatsOf, type SeatState, unplaced } from "../../../runtime/cluster/placement-record.ts";
import { lacksRoom, mostMoves, mostPlaced, withRoom } from "../../../runtime/cluster/placement-room.ts";
import { SeededRandom } from "../../../runtime/testing/seeded-random.ts";
import { rejection } from "../../support/rejection.ts";

const test = suite("placement room");
const MiB = 1024 * 1024, ofStage = 1_000;

function flowOf(name: string, count: number, seat: () => SeatState = () => unplaced, ended = false): FlowSeats {
  const stages = Array.from({ length: Math.ceil(count / ofStage) }, (_, s) => ({ name: `stage-${s}`, place: { labels: ["zone=a"], spread: true, standby: 2 as const }, seats: Array.from({ length: Math.min(ofStage, count - s * ofStage) }, seat) }));
  return { name, run: "r", code: "c", ended, stages };
}

const head = { n: 1, term: 1, mark: "m", before: "", at: 0 } as const;

test("20,000 actors are placed, and placed again when a node comes and goes, in a fraction of the time in which a node counts as gone", () => {
  const flow = flowOf("quakes", 20_000), actors = actorsOf({ ...flow, stages: flow.stages.map((stage) => ({ ...stage, place: { labels: [], spread: false, standby: 1 } })) });
  const nodes = (...names: string[]) => names.map((name) => ({ name, weight: 1, labels: [], code: ["quakes@c"] }));
  let seats: ReadonlyMap<string, Seat> = new Map(), slowest = 0;
  for (const [names, moved] of [[["a", "b", "c"], 20_000], [["a", "b", "c", "d"], 5_000], [["a", "b", "d"], 5_000]] as const) {
    const began = performance.now(), placed = place(nodes(...names), actors, seats);
    slowest = Math.max(slowest, performance.now() - began);
    seats = placed.seats;
    assert.ok(placed.moves.length >= moved && placed.moves.length < 1.3 * moved, `${placed.moves.length} moves`);
    const counts = names.map((name) => [...seats.values()].filter(({ node }) => node === name).length);
    assert.ok(Math.max(...counts) - Math.min(...counts) <= 1, counts.join());
  }
  // It takes a tenth of that; a pass over all that is there for each move takes many seconds.
  assert.ok(slowest < 2_000, `${slowest} ms`);
});

test("as many actors as a cluster can have fit into one message, whatever is to be said of each; what is written packed is read as it was", () => {
  const random = new SeededRandom(3), any = (count: number): number => Math.floor(random.next() * count), hex = (bytes: number): string => Buffer.from(random.bytes(bytes)).toString("hex");
  const names = Array.from({ length: 100 }, (_, at) => `worker-${hex(5)}-${at}`), codes = Array.from({ length: 3 }, () => hex(32)), name = (): string => names[any(100)] as string;
  const seat = (): SeatState => ({ node: name(), since: any(1_000_000), from: name(), standby: [name(), name()], ...(any(3) === 0 ? { pin: { node: name(), since: any(1_000_000) } } : {}), ...(any(2) === 0 ? { code: codes[any(3)] as string } : {}) });
  const most = mostPlaced(MiB), flow = flowOf("quakes", most, seat);
  assert.ok(most >= 20_000, `${most} actors in messages of 1 MiB`);
  const moves = [...seatsOf(flow)].slice(0, mostMoves).map(([actor, { from, node }]) => ({ actor, from, to: node, why: `${from} has gone; ${node} had the most room: ${any(300)} actors, of 100 nodes that may have it, offering zone=a; spread: ${any(12)} others of its stage are there` }));
  const records: PlacementRecord[] = [{ ...head, kind: "lead", node: "a", life: "1", flows: [flow] }, { ...head, kind: "place", flow, moves }];
  for (const record of records) {
    const bytes = encodePlacement(record);
    assert.ok(bytes.length < MiB && JSON.stringify(record).length > 2 * MiB, `${record.kind}: ${bytes.length}`);
    assert.equal(decodePlacement(bytes), record);
    // An older Millrace refuses what it cannot read by its version.
    assert.is((JSON.parse(Buffer.from(bytes).toString()) as { v: number }).v, 4);
  }
  assert.is((JSON.parse(Buffer.from(encodePlacement({ ...head, kind: "lead", node: "a", life: "1", flows: [flowOf("small", 100)] })).toString()) as { v: number }).v, 1, "few are written as ever");
});

test("what is packed and no record is refused, and is not unpacked without end", async () => {
  for (const packed of ["", "AAAA", "!", Buffer.from("{}").toString("base64")]) assert.is((await rejection(Promise.resolve().then(() => decodePlacement(Buffer.from(JSON.stringify({ v: 4, packed })))))).code, "BYTES_REFUSED");
  const { deflateRawSync } = await import("node:zlib"), bomb = deflateRawSync(Buffer.alloc(80 * MiB, " ")).toString("base64");
  assert.is((await rejection(Promise.resolve().then(() => decodePlacement(Buffer.from(JSON.stringify({ v: 4, packed: bomb })))))).code, "BYTES_REFUSED");
  assert.is((await rejection(Promise.resolve().then(() => decodePlacement(Buffer.from(JSON.stringify({ v: 5, packed: "" })))))).code, "PLACEMENT_NEWER");
});

test("a flow for which there is no room is refused with what would help; those that have ended make room, the oldest first", () => {
  const most = mostPlaced(MiB), flows = [flowOf("old", 10_000, undefined, true), flowOf("other", most - 5_000), flowOf("quakes", 9_000)];
  assert.is(lacksRoom(flows, "quakes", 5_000, MiB), undefined);
  const lack = lacksRoom(flows, "quakes", 5_001, MiB);
  assert.is(lack?.code, "PLACEMENT_FULL");
  assert.match(lack?.remedy ?? "", /max_payload/);
  assert.is(lacksRoom(flows, "quakes", 5_001, 8 * MiB), undefined);
  assert.equal(withRoom(flows.slice(0, 2), MiB).map(({ name }) => name), ["other"]);
  assert.equal(withRoom([flows[0] as FlowSeats, flowOf("older", 1_000, undefined, true)], MiB).length, 2);
});

test.run();
