import { runSchedule } from "./schedule.ts";
import { decodeRecord } from "../../runtime/journal/record.ts";
import { World } from "./world.ts";
import { current } from "./feed.ts";
const seed = Number(process.argv[2]);
console.log(await runSchedule(seed));
const w = current.host as World;
for (const slot of w.slots) { if (process.argv[3] && !slot.address.includes(process.argv[3])) continue; console.log("==", slot.address); for (const { seq, data } of w.logOf(slot)) { const r = decodeRecord(data); const { out, ...b } = r.body; console.log(seq, r.kind, r.n, "t" + r.term[0], JSON.stringify(b, (k, v) => v instanceof Uint8Array || v?.type === "Buffer" ? "…" : v).slice(0, 700), out ? `out ${out.map(([t, s]) => JSON.stringify(t) + ":" + s)}` : ""); } }
