// Where a process that ran tests fails, it says what is needed to see the failure again: seeds, and events that were given up.
type Lines = readonly string[];

const open = new Set<() => Lines>();
const said: Lines[] = [];
/** Of the tests that are over the last ones are kept. */
const most = 100;
let listens = false;

/**
 * @param lines what to print where the process ends with another code than 0; none: nothing
 * @returns to be called when the test is over: what is to be said then stays
 */
export function failureNotice(lines: () => Lines): () => void {
  if (!listens) process.once("exit", print);
  listens = true;
  open.add(lines);
  return () => {
    if (!open.delete(lines)) return;
    const last = lines();
    if (last.length > 0) said.push(last);
    if (said.length > most) said.shift();
  };
}

function print(code: number): void {
  if (code === 0) return;
  for (const line of [...said, ...[...open].map((lines) => lines())].flat()) process.stderr.write(`millrace/testing: ${line}\n`);
}
