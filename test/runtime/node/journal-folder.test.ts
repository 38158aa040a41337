import { mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { LevelStores } from "../../../runtime/journal/level-store.ts";
import { journalsIn, journalsOf, removeOldJournals } from "../../../runtime/node/journal-folder.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

const test = suite("journal folder");

test("the journals of a flow are found by the names by which they are opened; what was put aside, and what is none, is not among them", async () => {
  await using folder = await temporaryFolder();
  const stores = new LevelStores(journalsIn(folder.path)), names = ["f/s/token000-1/0", "f/s/token000-1/11", "f/out/token000-2/0"];
  for (const name of [...names, "g/s/token000-1/0"]) await (await stores.open(name)).close();
  await stores.open("f/s/token000-1/3").then((store) => store.close());
  await stores.setAside("f/s/token000-1/3");
  await writeFile(join(journalsIn(folder.path), "f", "a file"), "");
  assert.equal([...(await journalsOf(folder.path, "f"))].toSorted(), names.toSorted());
  for (const name of await journalsOf(folder.path, "f")) assert.ok(await stores.exists(name));
  assert.equal(await journalsOf(folder.path, "none"), []);
});

test("those of runs before go, those of the run stay", async () => {
  await using folder = await temporaryFolder();
  for (const generation of ["old00000-1", "token000-1", "token000-2"]) await mkdir(join(journalsIn(folder.path), "f", "s", generation, "0"), { recursive: true });
  await removeOldJournals(folder.path, "f", "token000");
  assert.equal((await readdir(join(journalsIn(folder.path), "f", "s"))).toSorted(), ["token000-1", "token000-2"]);
});

test.run();
