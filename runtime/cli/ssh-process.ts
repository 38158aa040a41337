// The system's ssh as a process: what it is called with, and what its failures mean.
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { MillraceError } from "../event/errors.ts";

export interface SshOptions {
  /** As ssh takes it: host, user@host, ssh://user@host:port, or a name of its configuration. */
  readonly destination: string;
  /** Each as after its -o; before all that is set here. */
  readonly options: readonly string[];
  /** For the other machine's shell. */
  readonly command: string;
  /** Questions (host key, passphrase) may be asked on the terminal. */
  readonly isAsking: boolean;
  /** A line of the other machine's standard output. */
  readonly onLine: (line: string) => void;
}

/** Said by ssh itself or by the other machine's login: the last of it explains a failure. */
const mostSaid = 20;
const connectS = 10;

export class SshProcess {
  readonly child: ChildProcessWithoutNullStreams;
  /** Exit code; rejects where it could not be started. @throws MillraceError SSH_MISSING, SSH_FAILED */
  readonly ended: Promise<number>;
  readonly said: string[] = [];
  readonly #options: SshOptions;

  constructor(options: SshOptions) {
    this.#options = options;
    const { destination, isAsking, onLine } = options;
    const own = [`ConnectTimeout=${connectS}`, "ServerAliveInterval=10", "ServerAliveCountMax=3", "ForwardX11=no", "ClearAllForwardings=yes", ...(isAsking ? [] : ["BatchMode=yes"])];
    const args = ["-T", ...[...options.options, ...own].flatMap((option) => ["-o", option]), "--", destination, options.command];
    // A group of its own: Ctrl-C of the terminal comes by way of this process, once.
    this.child = spawn("ssh", args, { stdio: ["pipe", "pipe", "pipe"], detached: !isAsking });
    this.child.stdin.on("error", () => {});
    createInterface({ input: this.child.stdout }).on("line", onLine);
    createInterface({ input: this.child.stderr }).on("line", (line) => { this.said.push(line); this.said.splice(0, this.said.length - mostSaid); });
    this.ended = new Promise((resolve, reject) => {
      this.child.once("error", (error: NodeJS.ErrnoException) => reject(error.code === "ENOENT"
        ? new MillraceError("SSH_MISSING", "ssh", "There is no program ssh on this machine", "Install it (Debian: openssh-client), or start the node on the other machine yourself: millrace node --nats …", { cause: error })
        : new MillraceError("SSH_FAILED", "ssh", `ssh could not be started: ${error.message}`, "See that the program ssh on the PATH runs.", { cause: error })));
      this.child.once("close", (code) => resolve(code ?? 255));
    });
    this.ended.catch(() => {});
  }

  /** Why it ended before anything was heard of the other machine. */
  failure(code: number): MillraceError {
    const { destination } = this.#options, text = this.said.join("\n"), last = this.said.map((line) => line.trim()).filter((line) => line !== "").at(-1) ?? `exit code ${code}`;
    for (const [form, error, what, remedy] of meanings) if (form.test(text)) return new MillraceError(error, destination, `${what}: ${last}`, remedy.replaceAll("$", destination));
    return new MillraceError("SSH_FAILED", destination, code === 255 ? `ssh to ${destination} failed: ${last}` : `${destination} ended with exit code ${code} before the node was started: ${last}`, `See that \`ssh ${destination} true\` works, with the same --ssh-option.`);
  }
}

const meanings: readonly (readonly [form: RegExp, code: string, what: string, remedy: string])[] = [
  [/REMOTE HOST IDENTIFICATION HAS CHANGED|host key .* has changed/i, "SSH_HOST_KEY", "The other machine has another host key than the one that is known", "If that is as it should be, remove the old one with ssh-keygen -R; if nobody knows why, do not connect."],
  [/host key verification failed|no .* host key is known/i, "SSH_HOST_KEY", "The host key of the other machine is not known here", "Connect once by hand, `ssh $`, and compare its fingerprint; or name the file that holds it: --ssh-option UserKnownHostsFile=…"],
  [/could not resolve hostname|name or service not known/i, "SSH_HOST_UNKNOWN", "There is no host of that name", "See how it is written; --ssh-option HostName=… gives its address."],
  [/connection refused/i, "SSH_REFUSED", "The other machine takes no ssh there", "See that sshd runs on it, and on which port: --ssh-option Port=2222."],
  [/connection timed out|operation timed out|no route to host|network is unreachable/i, "SSH_UNREACHABLE", "The other machine does not answer", "See that it is up, and that no firewall is between: `ssh $` must work."],
  [/permission denied|too many authentication failures/i, "SSH_DENIED", "The other machine does not let this user in", "See that `ssh $` works without a question; --ssh-option IdentityFile=… names a key."],
  [/bad configuration option|command-line: line \d+|bad owner or permissions|invalid (quotes|multiplex)/i, "SSH_OPTION", "ssh does not take an option", "Write --ssh-option as after the -o of ssh, such as --ssh-option Port=2222."],
];
