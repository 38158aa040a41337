// The example of a user's test, run as its user runs it.
import { execFile } from "node:child_process";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";

const test = suite("example: fraud");
const root = join(import.meta.dirname, "../..");

test("the tests of examples/fraud.ts pass", async () => {
  const { code, said } = await new Promise<{ code: unknown; said: string }>((resolve) => {
    // From Node 23 on the default is another one.
    execFile(process.execPath, ["--conditions=source", "--import", "tsx", "--test-reporter=tap", "examples/fraud.test.ts"], { cwd: root }, (error, stdout, stderr) => resolve({ code: error?.code ?? 0, said: stdout + stderr }));
  });
  assert.is(code, 0, said);
  assert.match(said, /^# pass 10$/m);
  assert.match(said, /^# fail 0$/m);
});

test.run();
