// A real sshd on a host of its own (network-hosts.ts), as an ordinary user: the machine's, or one of Debian's archive that is unpacked into a
// folder. It lets in one user, ann, by a key; the host's list of users is laid over in its own mounts.
import { execFile } from "node:child_process";
import { access, chmod, mkdir, readdir, writeFile } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";
import { type HostProcess, type NetworkHost, startOn } from "./network-hosts.ts";
import { eventually } from "./waiting.ts";

const run = promisify(execFile);

export interface SshServer extends AsyncDisposable {
  readonly destination: string;
  readonly port: number;
  /** As after the -o of ssh: what lets this client in, and knows the host's key. */
  readonly options: readonly string[];
  /** A file of known hosts with another key for it. */
  readonly wrongHosts: string;
  readonly home: string;
  /** What it says of who came. */
  readonly log: () => string;
}

const user = "ann", port = 2222, uid = 1000;

/** The path of an sshd, and where its libraries are; or why there is none. `folder`: for what is fetched. */
export async function findSshd(folder: string): Promise<{ readonly path: string; readonly libraries: string | undefined } | string> {
  if (!(await run("ssh", ["-V"]).then(() => true, () => false))) return "there is no ssh on this machine";
  for (const path of ["/usr/sbin/sshd", ...(process.env["PATH"] ?? "").split(delimiter).map((one) => join(one, "sshd"))]) if (await access(path).then(() => true, () => false)) return { path, libraries: undefined };
  try {
    const debs = join(folder, "debs"), unpacked = join(folder, "unpacked");
    await mkdir(debs, { recursive: true });
    await download(["openssh-server", "libwrap0"], debs, join(folder, "apt"));
    for (const deb of await readdir(debs)) await run("dpkg-deb", ["-x", join(debs, deb), unpacked]);
    const { stdout } = await run("find", [unpacked, "-name", "libwrap.so*"]), libraries = stdout.split("\n")[0]?.replace(/\/[^/]*$/, ""), path = join(unpacked, "usr/sbin/sshd");
    await run(path, ["-?"], { env: { ...process.env, LD_LIBRARY_PATH: libraries } }).catch((error: Error & { stderr?: string; code?: number }) => { if (!/OpenSSH/.test(error.stderr ?? "")) throw error; });
    return { path, libraries };
  } catch (error) {
    const { message, stderr = "" } = error as Error & { stderr?: string };
    return `there is no sshd on this machine, and Debian's could not be fetched and run: ${message} ${stderr}`.trim();
  }
}

/** With the machine's lists of packages; where it has none yet, with lists of its own. */
async function download(packages: readonly string[], to: string, own: string): Promise<void> {
  const fetch = (env: NodeJS.ProcessEnv) => run("apt-get", ["-q", "download", ...packages], { cwd: to, timeout: 60_000, env });
  try {
    await fetch(process.env);
  } catch {
    for (const name of ["lists/partial", "cache/archives/partial"]) await mkdir(join(own, name), { recursive: true });
    await writeFile(join(own, "apt.conf"), `Dir::State "${own}";\nDir::State::lists "${own}/lists";\nDir::State::status "/var/lib/dpkg/status";\nDir::Cache "${own}/cache";\nAPT::Sandbox::User "root";\nAcquire::Languages "none";\n`);
    const env = { ...process.env, APT_CONFIG: join(own, "apt.conf") };
    await run("apt-get", ["-q", "update"], { timeout: 90_000, env });
    await fetch(env);
  }
}

/** `folder`: where its keys, settings and home are. Use it with `await using`. */
export async function startSshServer(host: NetworkHost, { path, libraries }: { readonly path: string; readonly libraries: string | undefined }, folder: string): Promise<SshServer> {
  const at = (name: string): string => join(folder, name), home = at("home");
  await mkdir(join(home, ".ssh"), { recursive: true });
  for (const name of ["host-key", "other-key", "key"]) await run("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", at(name)]);
  const publicKey = async (name: string): Promise<string> => (await run("ssh-keygen", ["-y", "-f", at(name)])).stdout.trim();
  await writeFile(join(home, ".ssh", "authorized_keys"), `${await publicKey("key")}\n`);
  await writeFile(at("known-hosts"), `[${host.address}]:${port} ${await publicKey("host-key")}\n`);
  await writeFile(at("wrong-hosts"), `[${host.address}]:${port} ${await publicKey("other-key")}\n`);
  await writeFile(at("passwd"), `root:x:0:0::/:/bin/sh\n${user}:x:${uid}:${uid}::${home}:/bin/sh\n`);
  await writeFile(at("sshd.conf"), `Port ${port}\nListenAddress ${host.address}\nHostKey ${at("host-key")}\nPidFile none\nUsePAM no\nStrictModes no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nAuthorizedKeysFile ${join(home, ".ssh", "authorized_keys")}\nPrintMotd no\n`);
  await chmod(at("host-key"), 0o600);
  await host.sh('mount --bind "$1" /etc/passwd', at("passwd"));
  // As an ordinary user of the host: as root it wants to become others, whom a namespace of one user does not have.
  const server: HostProcess = startOn(host, ["unshare", "-U", `--map-user=${uid}`, `--map-group=${uid}`, path, "-D", "-e", "-f", at("sshd.conf")], libraries === undefined ? {} : { env: { LD_LIBRARY_PATH: libraries } });
  await eventually("sshd listens", () => {
    if (server.child.exitCode !== null) throw new Error(server.output);
    return server.output.includes("Server listening");
  }, 20_000);
  return {
    destination: `${user}@${host.address}`, port, home, wrongHosts: at("wrong-hosts"), log: () => server.output,
    options: [`Port=${port}`, `IdentityFile=${at("key")}`, "IdentitiesOnly=yes", `UserKnownHostsFile=${at("known-hosts")}`, "GlobalKnownHostsFile=/dev/null", "StrictHostKeyChecking=yes"],
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]();
    },
  };
}
