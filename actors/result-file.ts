// Where the result of a file sink is, from its first batch to its final form, and how it gets there whatever crashes and
// whoever comes late (P28). For a sink on `out.jsonl` under generation g:
//
//   out.jsonl.g            the data: created by the first batch, written in place, never truncated
//   out.jsonl              a link to it while the flow runs
//   out.jsonl.g.<x>.link   that link, before it is moved into place; stays behind only after a crash
//   out.jsonl.g.done       the data, for the moment in which the result takes its final place
//   out.jsonl              in the end, the data
//
// F1. What an earlier run left at `out.jsonl` stays until the first batch of this one is on the disk.
// F2. The link is made before the data are: so what a run that was given up left behind is known by its link. Only that is
//     ever removed, and only what was there at the open: it is older than this run for certain.
// F3. A zombie may pause before any operation, for ever. It opened the sink before its successor did, and may still have
//     one call to go. So the link is put over something only if that is what was there at the open; `finish` first takes
//     the data away, then removes all links of its generation, then puts the result in place: a link from before that is
//     gone, and one made later does not find `out.jsonl` as it was. Where nothing is, the link is made only if nothing is.
import { randomBytes } from "node:crypto";
import * as fs from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { MillraceError } from "../runtime/index.ts";

/** The file system; tests put one that pauses or fails in its place. */
export type Files = Pick<typeof fs, "lstat" | "mkdir" | "open" | "readdir" | "readlink" | "rename" | "rm" | "stat" | "symlink">;

const generationForm = "[a-z0-9]+-\\d+";

/** What stands at `path`: enough to see later that it was replaced. */
interface Standing {
  readonly kind: "nothing" | "file" | "link" | "other";
  /** Name of the data to which the link of a sink leads. */
  readonly data?: string;
  readonly identity: string;
}

export class ResultFile {
  /** What readers open. Absolute. */
  readonly path: string;
  /** Where the data are while the flow runs. */
  readonly data: string;
  readonly #folder: string;
  readonly #name: string;
  readonly #done: string;
  readonly #link: string;
  readonly #files: Files;
  #atOpen: Standing = { kind: "nothing", identity: "" };
  /** Left behind by older runs. */
  #older: readonly { readonly link: string; readonly data: string }[] = [];

  constructor(path: string, generation: string, files: Files = fs) {
    this.path = path;
    this.#files = files;
    this.#folder = dirname(path);
    this.#name = basename(path);
    this.data = `${path}.${generation}`;
    this.#done = `${this.data}.done`;
    this.#link = `${path}.${generation}.${randomBytes(4).toString("hex")}.link`;
  }

  /** Makes the folder and looks at what is there. @throws MillraceError SINK_UNWRITABLE where something stands in the way. */
  async prepare(): Promise<void> {
    await this.#files.mkdir(this.#folder, { recursive: true });
    this.#atOpen = await this.#standing();
    if (this.#atOpen.kind === "other") {
      throw new MillraceError("SINK_UNWRITABLE", this.path, "what stands at this path is no file of a sink but a folder, a device or a link to elsewhere", "Give the path of a regular file, by its own name.");
    }
    this.#older = (await this.#links()).filter(({ data }) => data !== basename(this.data));
  }

  /** The data, of which there are to be `offset` bytes, and their size, wherever they are. */
  async locate(offset: number): Promise<{ file: string; size: number } | undefined> {
    let short: { file: string; size: number } | undefined;
    for (const file of [this.#done, this.data]) {
      const size = await this.#sizeOf(file);
      if (size === undefined) continue;
      if (size >= offset) return { file, size };
      short ??= { file, size };
    }
    // Finished already, and a crash came before that was recorded.
    if (offset > 0 && (await this.#standing()).kind === "file") {
      const size = await this.#sizeOf(this.path);
      if (size !== undefined && size >= offset) return { file: this.path, size };
    }
    return short;
  }

  /** Makes the data file, for the first batch. */
  async create(): Promise<string> {
    await this.#symlink(this.#link);
    await (await this.#files.open(this.data, "a")).close();
    await this.#sync();
    return this.data;
  }

  /** Lets the path lead to the data, once there are some. False where somebody else has put something there meanwhile. */
  async publish(): Promise<boolean> {
    const before = await this.#standing();
    if (this.#isMine(before)) return true;
    if ((await this.#sizeOf(this.data)) === undefined) return false;
    if (before.kind === "nothing") {
      if (!(await this.#symlink(this.path))) return this.#isMine(await this.#standing());
      await this.#remove(this.#link);
    } else {
      if (before.identity !== this.#atOpen.identity) return false;
      await this.#symlink(this.#link);
      if ((await this.#standing()).identity !== before.identity) return false;
      await this.#removeReplaced();
      if (!(await this.#rename(this.#link, this.path))) return false;
    }
    await this.#sync();
    return true;
  }

  /** Gives the data, `size` bytes, their final place. May be called again. False where they are not there, whole and alone. */
  async finish(size: number): Promise<boolean> {
    const found = (await this.locate(size)) ?? (size === 0 ? { file: await this.create(), size } : undefined);
    if (found?.size !== size) return false;
    if (found.file === this.path) return true;
    if (found.file === this.data) await this.#rename(this.data, this.#done);
    const own = (await this.#links()).filter(({ data }) => data === basename(this.data));
    for (const { link } of own) await this.#remove(link);
    for (const { link, data } of this.#older) {
      await this.#remove(join(this.#folder, data));
      await this.#remove(link);
    }
    await this.#removeReplaced();
    if (!(await this.#rename(this.#done, this.path))) return (await this.locate(size))?.file === this.path;
    await this.#sync();
    return true;
  }

  /** The half result to which the path led at the open goes when there is something to show in its place. */
  async #removeReplaced(): Promise<void> {
    const { data } = this.#atOpen;
    if (data === undefined || data === basename(this.data)) return;
    await this.#remove(join(this.#folder, data));
    await this.#remove(join(this.#folder, `${data}.done`));
  }

  /** Links that are not, or not yet, in place, of all runs on this path. */
  async #links(): Promise<{ readonly link: string; readonly data: string }[]> {
    const form = new RegExp(`^(${generationForm})\\.[0-9a-f]{8}\\.link$`);
    const found: { link: string; data: string }[] = [];
    for (const name of await this.#files.readdir(this.#folder)) {
      const generation = name.startsWith(`${this.#name}.`) ? form.exec(name.slice(this.#name.length + 1))?.[1] : undefined;
      if (generation === undefined) continue;
      const link = join(this.#folder, name);
      const data = `${this.#name}.${generation}`;
      const target = await this.#files.readlink(link).catch(() => undefined);      // no link, or gone meanwhile
      if (target === data) found.push({ link, data });
    }
    return found;
  }

  /** False where something is there. */
  async #symlink(link: string): Promise<boolean> {
    try {
      await this.#files.symlink(basename(this.data), link);
      return true;
    } catch (error) {
      if (codeOf(error) === "EEXIST") return false;
      throw error;
    }
  }

  /** False where nothing is there to be renamed. */
  async #rename(from: string, to: string): Promise<boolean> {
    try {
      await this.#files.rename(from, to);
      return true;
    } catch (error) {
      if (codeOf(error) === "ENOENT") return false;
      throw error;
    }
  }

  async #remove(file: string): Promise<void> {
    await this.#files.rm(file, { force: true });
  }

  #isMine(standing: Standing): boolean {
    return standing.data === basename(this.data);
  }

  async #standing(): Promise<Standing> {
    for (let tries = 0; tries < 10; tries++) {
      const standing = await this.#look();
      if (standing !== undefined) return standing;
    }
    throw new Error(`what stands at ${this.path} changes all the time`);
  }

  /** Nothing where it was replaced while it was looked at. */
  async #look(): Promise<Standing | undefined> {
    try {
      const found = await this.#files.lstat(this.path, { bigint: true });
      const identity = `${found.dev}:${found.ino}:${found.mtimeNs}`;
      if (found.isFile()) return { kind: "file", identity };
      if (!found.isSymbolicLink()) return { kind: "other", identity };
      const target = await this.#files.readlink(this.path).catch(() => undefined);
      if (target === undefined) return undefined;
      const ours = target.startsWith(`${this.#name}.`) && new RegExp(`^${generationForm}$`).test(target.slice(this.#name.length + 1));
      return ours ? { kind: "link", data: target, identity } : { kind: "other", identity };
    } catch (error) {
      if (codeOf(error) === "ENOENT") return { kind: "nothing", identity: "" };
      throw error;
    }
  }

  async #sizeOf(file: string): Promise<number | undefined> {
    try {
      return (await this.#files.stat(file)).size;
    } catch (error) {
      if (codeOf(error) === "ENOENT") return undefined;
      throw error;
    }
  }

  /** What was renamed or created is to outlive a power loss, too. */
  async #sync(): Promise<void> {
    const folder = await this.#files.open(this.#folder, "r");
    try {
      await folder.sync();
    } catch (error) {
      if (codeOf(error) !== "EINVAL") throw error;       // some network file systems know no sync of a folder
    } finally {
      await folder.close();
    }
  }
}

function codeOf(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException).code;
}
