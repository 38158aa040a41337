import { existsSync } from "node:fs";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { cachedPath } from "../../../../runtime/broker/nats-server/find.ts";
import { obtain } from "../../../../runtime/broker/nats-server/obtain.ts";
import { canFakeDebian, fakeArchive, type FakeSuite } from "../../../support/fake-debian.ts";
import { fakeHttp } from "../../../support/fake-http.ts";
import { rejection } from "../../../support/rejection.ts";
import { temporaryFolder } from "../../../support/temporary-folder.ts";

const test = suite("debian-archive");

interface Outcome {
  readonly version?: string;
  readonly message?: string;
  readonly said: readonly string[];
  readonly asked: readonly string[];
}

/** What becomes of fetching from an archive of these suites. */
async function fetched(suites: readonly FakeSuite[], series?: string): Promise<Outcome> {
  await using root = await temporaryFolder();
  const archive = await fakeArchive(root.path, suites);
  await using server = await fakeHttp(archive.files);
  const said: string[] = [];
  const env = { XDG_CACHE_HOME: `${root.path}/cache` };
  const obtaining = obtain({ env, say: (line) => said.push(line), ...(series === undefined ? {} : { series }), sources: [{ kind: "debian", uri: server.url, keyring: archive.keyring }] });
  const outcome = await obtaining.then(({ path, version }) => ({ path, version }), async () => ({ message: (await rejection(obtaining)).message }));
  if ("path" in outcome) {
    assert.is(outcome.path, cachedPath(outcome.version, env));
    assert.ok(existsSync(outcome.path));
  }
  return { ...outcome, said, asked: server.asked };
}

if (await canFakeDebian()) {
  test("the newest suite in range is taken, and the others are not asked", async () => {
    const { version, asked } = await fetched([{ suite: "unstable", version: "2.15.1-1" }, { suite: "testing", version: "2.14.0-1" }]);
    assert.is(version, "2.15.1");
    assert.ok(asked.every((path) => !path.includes("testing")), asked.join(" "));
  });

  test("a suite that is beyond the range is passed over for the next", async () => {
    const { version, said } = await fetched([{ suite: "unstable", version: "2.16.0-1" }, { suite: "testing", version: "1:2.15.3-2+b1", says: "2.15.3" }]);
    assert.is(version, "2.15.3");
    assert.ok(said.some((line) => /unstable: has 2\.16\.0-1, not in the range/.test(line)), said.join("\n"));
  });

  test("one that does not run here, for want of a newer C library, is passed over for an older suite", async () => {
    const { version } = await fetched([{ suite: "unstable", version: "2.15.1-1", says: "none" }, { suite: "testing", version: "2.9.0-1" }, { suite: "stable", version: "2.10.27-1" }]);
    assert.is(version, "2.10.27");
  });

  test("the lower end comes from the release of Debian that keeps it", async () => {
    const { version, asked } = await fetched([{ suite: "trixie", version: "2.10.27-1+b2" }, { suite: "unstable", version: "2.15.1-1" }], "2.10");
    assert.is(version, "2.10.27");
    assert.ok(asked.every((path) => !path.includes("unstable")));
  });

  const refused: readonly (readonly [guarantee: string, fault: NonNullable<FakeSuite["fault"]>, reason: RegExp])[] = [
    ["an archive without a signature is refused", "unsigned", /not signed/],
    ["an archive signed by another key is refused", "foreign-key", /not signed|NO_PUBKEY|couldn't be verified/i],
    ["a list that was changed after it was signed is refused", "changed-list", /hash sum mismatch|unexpected size/i],
    ["a package that was changed after it was signed is refused", "changed-package", /hash sum mismatch|unexpected size/i],
  ];
  for (const [guarantee, fault, reason] of refused) {
    test(guarantee, async () => {
      const { message, version } = await fetched([{ suite: "unstable", version: "2.15.1-1", fault }]);
      assert.is(version, undefined);
      assert.match(message as string, reason);
    });
  }
} else {
  test("where nothing can be had from Debian's archive, the reason is said", async () => {
    await using root = await temporaryFolder();
    const { message } = await rejection(obtain({ env: { XDG_CACHE_HOME: root.path }, sources: [{ kind: "debian", keyring: "/dev/null", uri: "http://127.0.0.1:9" }] }));
    assert.match(message, /Debian's archive at http:\/\/127\.0\.0\.1:9: .+/);
  });
}

test.run();
