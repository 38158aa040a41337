// What a backup says of itself: `backup.json`, and `SHA256SUMS` in the form of sha256sum(1), which is written last: a folder without
// it is no backup. Files of messages are in the form of stream-file.ts, one for each stream, in a folder for each flow.
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { asError, MillraceError } from "../event/errors.ts";
import type { StreamSpec } from "../broker/broker.ts";
import type { RunRecord } from "../node/run-record.ts";
import { deployedIn, type DeploymentManifest } from "./deployment-copy.ts";
import { damaged, type FileSum } from "./stream-file.ts";

/** Version of the form that is written, and the newest that is read. */
export const backupVersion = 1;
export const manifestFile = "backup.json", sumsFile = "SHA256SUMS";

/** A stream as it is to be made again. */
export interface StreamManifest extends FileSum {
  readonly spec: StreamSpec;
  /** Path within the folder. */
  readonly file: string;
  /** Sequences of its first and last message, without holes between; of an empty one `first` = `last` + 1. */
  readonly first: number;
  readonly last: number;
  /** Bytes of its largest message. */
  readonly largest: number;
  /** Whether it is as it was, number by number. Else it holds what is needed, counted anew, and a claim in the logs says so. */
  readonly verbatim: boolean;
}

/** Up to where an actor is in the backup. */
export interface ActorManifest {
  readonly actor: string;
  readonly generation: string;
  /** Number of the newest record: the stated commit. 0: it had not begun. */
  readonly commit: number;
  /** Sequence of that record in the log. */
  readonly sequence: number;
  /** Whether a claim that the backup made stands behind it. */
  readonly claimed: boolean;
}

/** What the target of a sink must hold when the flow goes on: it is no part of NATS, so no part of the backup. */
export interface SinkManifest {
  readonly actor: string;
  /** Such as "jsonl". */
  readonly kind: string;
  readonly generation: string;
  /** Number of the newest batch that must be in the target; 0: none. */
  readonly batch: number;
  /** What the sink returned of that batch, or its start. */
  readonly mark: unknown;
  /** Where it writes, where the flow's file told. */
  readonly target?: string;
}

export interface FlowManifest {
  readonly flow: string;
  readonly run: RunRecord;
  readonly actors: readonly ActorManifest[];
  readonly sinks: readonly SinkManifest[];
  readonly streams: readonly StreamManifest[];
  /** Of a flow that was deployed: its bundles are among the streams. */
  readonly deployment?: DeploymentManifest;
}

export interface Manifest {
  readonly format: "millrace-backup";
  readonly version: number;
  /** ms since the epoch. */
  readonly madeAt: number;
  /** Of the nats-server that it was made from. */
  readonly server: string;
  readonly flows: readonly FlowManifest[];
}

export function sumsText(manifest: Manifest, text: string): string {
  const lines = manifest.flows.flatMap(({ streams }) => streams.map(({ sha256, file }) => `${sha256}  ${file}`));
  return `${[`${sha256Of(text)}  ${manifestFile}`, ...lines].join("\n")}\n`;
}

const sha256Of = (text: string): string => createHash("sha256").update(text).digest("hex");

/**
 * Of a backup's folder; the files of messages are not looked at.
 * @throws MillraceError BACKUP_MISSING, BACKUP_NEWER, BACKUP_DAMAGED
 */
export async function readManifest(folder: string): Promise<Manifest> {
  const path = join(folder, manifestFile), [text, sums] = await Promise.all([read(folder, manifestFile), read(folder, sumsFile)]);
  if (!sums.startsWith(`${sha256Of(text)}  ${manifestFile}\n`)) throw damaged(path, `its checksum is not the one in ${sumsFile}`);
  let manifest: Manifest;
  try {
    manifest = JSON.parse(text) as Manifest;
  } catch (error) {
    throw damaged(path, asError(error).message, error);
  }
  if (manifest.format !== "millrace-backup" || !Number.isSafeInteger(manifest.version)) throw damaged(path, "it is no backup of Millrace");
  if (manifest.version > backupVersion) throw new MillraceError("BACKUP_NEWER", path, `The backup has version ${manifest.version}, this program reads up to ${backupVersion}`, "Restore it with a newer Millrace; nothing was changed.");
  if (!isWhole(manifest)) throw damaged(path, "something in it is missing");
  if (sumsText(manifest, text) !== sums) throw damaged(join(folder, sumsFile), `it does not name the files that ${manifestFile} names`);
  return manifest;
}

/** Names become paths and subjects. */
const fileForm = /^[a-z0-9-]+\/mr_[a-z0-9_-]+\.stream$/, streamForm = /^mr_(actor|code|dead|story)_[a-z0-9_-]+$/;

function isWhole({ flows }: Manifest): boolean {
  return Array.isArray(flows) && flows.every((its: FlowManifest) => typeof its.flow === "string" && typeof its.run?.token === "string" && Array.isArray(its.actors) && Array.isArray(its.sinks) && Array.isArray(its.streams)
    && (its.deployment === undefined || (typeof its.deployment.entry === "string" && deployedIn(its.deployment, its.flow) !== undefined && isNote(its.deployment.note)))
    && its.streams.every(({ spec, file, first, last, bytes, largest }) => fileForm.test(file) && streamForm.test(spec?.name) && typeof spec.subject === "string" && [first, last, bytes, largest].every(Number.isSafeInteger) && last >= first - 1));
}

const isNote = (note: unknown): boolean => note === undefined || (typeof (note as { id?: unknown } | null)?.id === "string" && typeof (note as { run?: unknown }).run === "string");

async function read(folder: string, name: string): Promise<string> {
  return await readFile(join(folder, name), "utf8").catch((error: unknown) => {
    throw new MillraceError("BACKUP_MISSING", folder, `${folder} holds no whole backup: ${name} cannot be read`, "Name the folder that `millrace backup` made; one that was interrupted ends with .partial, and is made anew by the same command.", { cause: error });
  });
}
