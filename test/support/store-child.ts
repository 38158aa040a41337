// A process of its own that works on a store: "hold" keeps it open, "write" writes until it is killed, "fill" until it fails.
import { LevelStores } from "../../runtime/journal/level-store.ts";
import { MillraceError } from "../../runtime/event/errors.ts";

const [folder, name, work] = process.argv.slice(2) as [string, string, string];
const key = (i: number) => Uint8Array.of(i >> 8, i & 255);
const codeOf = (thrown: unknown) => (thrown instanceof MillraceError ? thrown.code : String(thrown));

const store = await new LevelStores(folder).open(name).catch((thrown) => codeOf(thrown));
if (typeof store === "string") {
  process.send?.(store);
  process.disconnect?.();
} else if (work === "hold") {
  process.send?.("open");
  setInterval(() => {}, 1_000);
} else if (work === "write") {
  process.send?.("open");
  for (let i = 0; ; i++) {
    await store.write([
      { type: "put", key: key(i), value: new Uint8Array(1_000) },
      { type: "put", key: key(0x8000 + i), value: Uint8Array.of(1) },
    ]);
    process.send?.(i + 1);
  }
} else {
  const codes: string[] = [];
  let written = 0;
  while (codes.length < 3) {
    try {
      await store.write([{ type: "put", key: key(written), value: new Uint8Array(10_000) }]);
      written++;
    } catch (thrown) {
      codes.push(codeOf(thrown));
    }
  }
  await store.close();
  console.log(JSON.stringify({ written, codes }));
}
