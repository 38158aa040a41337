// Keys that sign deployments: Ed25519 nkeys, as NATS uses them, of a user (U…) or an account (A…). The only importer of nkeys.js.
import { createAccount, createUser, fromPublic, fromSeed, type KeyPair } from "nkeys.js";
import { MillraceError } from "../event/errors.ts";

export type KeyKind = "user" | "account";

/** The secret half of a key. Neither prints nor serialises its seed. */
export class SigningKey {
  readonly publicKey: string;
  readonly #pair: KeyPair;

  constructor(pair: KeyPair) {
    this.#pair = pair;
    this.publicKey = pair.getPublicKey();
  }

  sign(message: Uint8Array): Uint8Array {
    return this.#pair.sign(message);
  }
}

/** `seed`: what goes into its file, to be kept secret. */
export function newKey(kind: KeyKind): { readonly key: SigningKey; readonly seed: string } {
  const pair = kind === "user" ? createUser() : createAccount();
  return { key: new SigningKey(pair), seed: Buffer.from(pair.getSeed()).toString("latin1") };
}

const seedForm = /\bS[UA][A-Z2-7]{56}\b/;
const publicForm = /^[UA][A-Z2-7]{55}$/;

/** Reads the seed of a file: alone, or as in a .creds file. `where`: the file's path, for the error, which never tells what is in it. @throws MillraceError KEY_INVALID */
export function keyOf(text: string, where: string): SigningKey {
  const [seed] = seedForm.exec(text) ?? [];
  try {
    if (seed !== undefined) return new SigningKey(fromSeed(Buffer.from(seed, "latin1")));
  } catch {
    // A seed with a typing error: its checksum says so. The cause is not kept, it may tell of the seed.
  }
  throw new MillraceError("KEY_INVALID", where, "The file holds no seed of a user or an account", "Give a file that `millrace keys new` (or nk -gen user) has made; its line begins with SU or SA.");
}

export function isPublicKey(text: string): boolean {
  return publicForm.test(text) && pairOf(text) !== undefined;
}

/** Whether it looks like a secret that was given in place of a public key. */
export function isSeed(text: string): boolean {
  return seedForm.test(text);
}

export function isSignedBy(publicKey: string, message: Uint8Array, signature: Uint8Array): boolean {
  try {
    return publicForm.test(publicKey) && pairOf(publicKey)?.verify(message, signature) === true;
  } catch {
    // Of another length than a signature has.
    return false;
  }
}

/** `undefined`: its checksum does not fit. */
function pairOf(publicKey: string): KeyPair | undefined {
  try {
    return fromPublic(publicKey);
  } catch {
    return undefined;
  }
}
