// The samples of a soak as a picture: one small chart for each measure, one below the other.
import { measures, type Measure, type Sample } from "./soak.ts";

const wide = 900, high = 110, left = 150, gap = 14, top = 16;
const words: Readonly<Record<Measure, string>> = {
  nodeMb: "node, memory, MB", serverMb: "nats-server, memory, MB", nodeDescriptors: "node, descriptors", serverDescriptors: "nats-server, descriptors",
  streams: "streams", consumers: "consumers", journalsMb: "journals, MB", storeMb: "nats-server, store, MB",
};

export function soakChart(samples: readonly Sample[]): string {
  const end = Math.max(1, samples.at(-1)?.seconds ?? 1), all = measures.map((of, i) => panel(of, samples, end, top + i * (high + gap)));
  const height = top + measures.length * (high + gap) + 24;
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${left + wide + 40}" height="${height}" font-family="sans-serif" font-size="12">
<rect width="100%" height="100%" fill="#fff"/>
${all.join("\n")}
<text x="${left}" y="${height - 8}">0</text><text x="${left + wide}" y="${height - 8}" text-anchor="end">${(end / 60).toFixed(1)} min</text>
</svg>
`;
}

function panel(of: Measure, samples: readonly Sample[], end: number, y: number): string {
  const most = Math.max(1, ...samples.map((sample) => sample[of])) * 1.1;
  const points = samples.map((sample) => `${(left + (sample.seconds / end) * wide).toFixed(1)},${(y + high - (sample[of] / most) * high).toFixed(1)}`).join(" ");
  return `<rect x="${left}" y="${y}" width="${wide}" height="${high}" fill="#f6f6f3" stroke="#ccc"/>
<text x="${left - 8}" y="${y + high / 2}" text-anchor="end">${words[of]}</text><text x="${left - 8}" y="${y + 12}" text-anchor="end" fill="#777">${most.toFixed(0)}</text>
<polyline points="${points}" fill="none" stroke="#1b6ca8" stroke-width="1.5"/>`;
}
