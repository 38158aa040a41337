// What examples/quakes.ts must write, computed plainly.
import { readFileSync } from "node:fs";

interface Feature { id: string; properties: { mag: number | null; place: string; time: number; type: string } }

export function quakesReference(feed: URL | string): string {
  const { features } = JSON.parse(readFileSync(feed, "utf8")) as { features: Feature[] };
  const windows = new Map<string, { region: string; windowStart: number; quakes: Feature[] }>();
  for (const quake of features.filter(({ properties: { type, mag } }) => type === "earthquake" && mag !== null && mag >= 2.5)) {
    const { place, time } = quake.properties, region = place.split(", ").at(-1) as string, windowStart = Math.floor(time / 21_600_000) * 21_600_000, name = `${windowStart} ${region}`;
    windows.set(name, { region, windowStart, quakes: [...(windows.get(name)?.quakes ?? []), quake] });
  }
  const strongest = (quakes: Feature[]): Feature => quakes.sort((a, b) => (b.properties.mag as number) - (a.properties.mag as number) || a.properties.time - b.properties.time || (a.id < b.id ? -1 : 1))[0] as Feature;
  const rows = [...windows.values()].sort((a, b) => a.windowStart - b.windowStart || Buffer.compare(Buffer.from(a.region), Buffer.from(b.region)));
  return rows.map(({ region, windowStart, quakes }) => `${JSON.stringify({ region, windowStart, count: quakes.length, strongest: strongest(quakes).properties.mag, place: strongest(quakes).properties.place })}\n`).join("");
}
