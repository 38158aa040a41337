// Where the result of a file sink is, from its first batch to its final form, and how it gets there whatever crashes and
// whoever comes late (P28). For a sink on `out.jsonl` under generation g:
//
//   out.jsonl.g            the data: created by the first batch, written in place, never truncated
//   out.jsonl              a link to it while the flow runs
//   out.jsonl.g.<x>.link   that link, before it is moved into place; stays behind only after a crash
//   out.jsonl.g.done       the data, for the moment in which the result takes its final place
//   out.jsonl              in the end, the data
//
// F1. `out.jsonl` of an earlier run stays as it is until the first batch of this one is on the disk.
// F2. The link is made before the data are: so what a run that was given up leaves behind is known by its link, and only
//     that is ever removed.
// F3. A zombie may pause anywhere and for ever. Its link is moved only if `out.jsonl` is what it was when the zombie opened
//     it and its data are there; `finish` takes the data away first, then removes all such links, then puts the result in
//     place: a link from before that is gone, one made later finds no data.
import { randomBytes } from "node:crypto";
import { lstat, mkdir, open, readdir, readlink, rename, rm, stat, symlink } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { MillraceError } from "../runtime/index.ts";

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
  readonly #folder: string;
  readonly #name: string;
  readonly #generation: string;
  readonly #link: string;
  #atOpen: Standing = { kind: "nothing", identity: "" };

  constructor(path: string, generation: string) {
    this.path = path;
    this.#folder = dirname(path);
    this.#name = basename(path);
    this.#generation = generation;
    this.#link = `${path}.${generation}.${randomBytes(4).toString("hex")}.link`;
  }

  get #data(): string {
    return `${this.path}.${this.#generation}`;
  }

  get #done(): string {
    return `${this.#data}.done`;
  }

  /** Makes the folder and looks at what is there. @throws MillraceError SINK_UNWRITABLE where something stands in the way. */
  async prepare(): Promise<void> {
    await mkdir(this.#folder, { recursive: true });
    this.#atOpen = await this.#standing();
    if (this.#atOpen.kind === "other") {
      throw new MillraceError("SINK_UNWRITABLE", this.path, "what stands at this path is no file of a sink but a folder, a device or a link to elsewhere", "Give the path of a regular file, by its own name.");
    }
  }

  /** The data and their size, wherever they are; `undefined` where they are not. `begun`: whether there are some. */
  async locate(begun: boolean): Promise<{ file: string; size: number } | undefined> {
    for (const file of [this.#done, this.#data]) {
      const size = await sizeOf(file);
      if (size !== undefined) return { file, size };
    }
    // Finished already, and a crash came before that was recorded.
    if (!begun || (await this.#standing()).kind !== "file") return undefined;
    const size = await sizeOf(this.path);
    return size === undefined ? undefined : { file: this.path, size };
  }

  /** Makes the data file, for the first batch. */
  async create(): Promise<string> {
    await this.#makeLink();
    await (await open(this.#data, "a")).close();
    await this.#sync();
    return this.#data;
  }

  /** Lets the path lead to the data, once there are some. False where somebody else has put something there meanwhile. */
  async publish(): Promise<boolean> {
    const before = await this.#standing();
    if (this.#isMine(before)) return true;
    await this.#makeLink();
    const now = await this.#standing();
    if (now.identity !== before.identity || (now.kind !== "nothing" && now.identity !== this.#atOpen.identity)) return this.#isMine(now);
    if ((await sizeOf(this.#data)) === undefined) return false;
    // The half result of a run that was given up goes when this one has something to show.
    if (now.data !== undefined) await rm(join(this.#folder, now.data), { force: true });
    try {
      await rename(this.#link, this.path);
    } catch (error) {
      if (codeOf(error) === "ENOENT") return false;
      throw error;
    }
    await this.#sync();
    return true;
  }

  /** Gives the data, `size` bytes, their final place. May be called again. False where they are not there, whole and alone. */
  async finish(size: number): Promise<boolean> {
    const found = (await this.locate(size > 0)) ?? (size === 0 ? { file: await this.create(), size } : undefined);
    if (found?.size !== size) return false;
    if (found.file === this.#data) await rename(this.#data, this.#done);
    await this.#clean();
    if (found.file !== this.path) await rename(this.#done, this.path);
    await this.#sync();
    return true;
  }

  /** Removes what crashes left behind: links of all runs, and the data of other runs to which they lead. */
  async #clean(): Promise<void> {
    const form = new RegExp(`^(${generationForm})\\.[0-9a-f]{8}\\.link$`);
    for (const name of await readdir(this.#folder)) {
      const generation = name.startsWith(`${this.#name}.`) ? form.exec(name.slice(this.#name.length + 1))?.[1] : undefined;
      if (generation === undefined) continue;
      const link = join(this.#folder, name);
      const data = `${this.#name}.${generation}`;
      if ((await readlink(link).catch(() => undefined)) !== data) continue;
      if (generation !== this.#generation) await rm(join(this.#folder, data), { force: true });
      await rm(link, { force: true });
    }
  }

  async #makeLink(): Promise<void> {
    try {
      await symlink(basename(this.#data), this.#link);
    } catch (error) {
      if (codeOf(error) !== "EEXIST") throw error;
    }
  }

  #isMine(standing: Standing): boolean {
    return standing.data === basename(this.#data);
  }

  async #standing(): Promise<Standing> {
    try {
      const found = await lstat(this.path, { bigint: true });
      const identity = `${found.dev}:${found.ino}:${found.mtimeNs}`;
      if (found.isFile()) return { kind: "file", identity };
      if (!found.isSymbolicLink()) return { kind: "other", identity };
      const target = await readlink(this.path);
      const ours = target.startsWith(`${this.#name}.`) && new RegExp(`^${generationForm}$`).test(target.slice(this.#name.length + 1));
      return ours ? { kind: "link", data: target, identity } : { kind: "other", identity };
    } catch (error) {
      if (codeOf(error) === "ENOENT") return { kind: "nothing", identity: "" };
      throw error;
    }
  }

  /** What was renamed or created is to outlive a power loss, too. */
  async #sync(): Promise<void> {
    const folder = await open(this.#folder, "r");
    try {
      await folder.sync();
    } catch (error) {
      if (codeOf(error) !== "EINVAL") throw error;       // some network file systems know no sync of a folder
    } finally {
      await folder.close();
    }
  }
}

async function sizeOf(file: string): Promise<number | undefined> {
  try {
    return (await stat(file)).size;
  } catch (error) {
    if (codeOf(error) === "ENOENT") return undefined;
    throw error;
  }
}

function codeOf(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException).code;
}
