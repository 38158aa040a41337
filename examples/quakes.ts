// The week's earthquakes that could be felt: how many in each region every six hours, and the strongest of them.
import { defineFlow } from "millrace";
import { aggregate, flatMap, json, jsonl, tumbling } from "millrace/actors";

interface Feature {
  id: string;
  properties: { mag: number | null; place: string; time: number; type: string };
}
interface Quake { id: string; time: number; mag: number; place: string; region: string }

const none: Quake = { id: "", time: Infinity, mag: -Infinity, place: "", region: "" };

/** Of two equal ones the earlier is the stronger, then the one with the lower id. */
const stronger = (a: Quake, b: Quake) => a.mag - b.mag || b.time - a.time || (a.id < b.id ? 1 : -1);

export default defineFlow("quakes", (flow) => {
  const feed = flow.source("feed", json.source<Feature>("examples/data/earthquakes.geojson", { at: "features" }), {
    time: (feature) => feature.properties.time,
  });

  const felt = flow.processor("felt", feed, flatMap(({ id, properties: { type, mag, place, time } }) =>
    type === "earthquake" && mag !== null && mag >= 2.5 ? [{ id, time, mag, place, region: place.split(", ").at(-1) ?? place }] : []));

  const byRegion = flow.processor("by-region", felt.keyBy((quake) => quake.region), { parallelism: 4 }, aggregate({
    window: tumbling("6h"),
    initial: () => ({ count: 0, strongest: none }),
    add: ({ count, strongest }, quake) => ({ count: count + 1, strongest: stronger(quake, strongest) > 0 ? quake : strongest }),
    result: ({ count, strongest: { mag, place } }, { key, window }) =>
      ({ region: key, windowStart: window.start, count, strongest: mag, place }),
  }));

  const report = flow.sink("report", byRegion, { order: "time" }, jsonl.sink(".millrace/out/quakes-by-region.jsonl"));
  return { feed, byRegion, report };
});
