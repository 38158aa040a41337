import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { compareVersions, isTested, versionOf } from "../../../../runtime/broker/nats-server/version.ts";
import { placeFakeNatsServer } from "../../../support/fake-nats-server.ts";
import { temporaryFolder } from "../../../support/temporary-folder.ts";

const test = suite("version");

const edges: readonly (readonly [version: string, tested: boolean])[] = [
  ["2.9.10", false], ["2.10.22", false], ["2.10.23", true], ["2.10.27", true], ["2.15.1", true], ["2.15.99", true], ["2.16.0", false], ["3.0.0", false], ["1.99.99", false],
];
for (const [version, tested] of edges) {
  test(`${version} is ${tested ? "in" : "out of"} the tested range`, () => assert.is(isTested(version), tested));
}

test("versions are ordered by their numbers, not by their letters", () => {
  assert.equal(["2.10.3", "2.9.10", "2.10.27", "2.15.1"].sort(compareVersions), ["2.9.10", "2.10.3", "2.10.27", "2.15.1"]);
});

test("a program is asked for its version", async () => {
  await using folder = await temporaryFolder();
  assert.equal(await versionOf(await placeFakeNatsServer(join(folder.path, "nats-server"), "2.12.3")), { version: "2.12.3" });
});

test("what is no nats-server is said in words: not there, fails, says no version", async () => {
  await using folder = await temporaryFolder();
  const failure = async (path: string) => {
    const looked = await versionOf(path);
    return "failure" in looked ? looked.failure : `version ${looked.version}`;
  };
  assert.match(await failure(join(folder.path, "none")), /ENOENT/);
  const broken = await placeFakeNatsServer(join(folder.path, "broken"), "", "#!/bin/sh\necho 'GLIBC_2.34 not found' >&2\nexit 1\n");
  assert.is(await failure(broken), "GLIBC_2.34 not found");
  assert.is(await failure(await placeFakeNatsServer(join(folder.path, "mute"), "", "#!/bin/sh\n")), "says no version");
});

test.run();
