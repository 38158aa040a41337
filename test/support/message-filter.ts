// Drops single NATS messages out of what a server sends, as a network never does and a slow consumer's server does.

/** A transform that drops each message of which `drop` says so, by its line: "MSG <subject> <sid> [reply] <size>". */
export function dropMessages(drop: (line: string) => boolean): (chunk: Buffer) => Buffer {
  let rest = Buffer.alloc(0);
  return (chunk) => {
    rest = Buffer.concat([rest, chunk]);
    const kept: Buffer[] = [];
    for (;;) {
      const end = rest.indexOf("\r\n");
      if (end < 0) break;
      const line = rest.toString("latin1", 0, end);
      const payload = /^H?MSG /.test(line) ? Number(line.slice(line.lastIndexOf(" ") + 1)) + 2 : 0;
      if (rest.length < end + 2 + payload) break;
      if (payload === 0 || !drop(line)) kept.push(rest.subarray(0, end + 2 + payload));
      rest = rest.subarray(end + 2 + payload);
    }
    return Buffer.concat(kept);
  };
}
