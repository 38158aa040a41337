// What the server does not let a user do, as an error: what it is, and which role may (nats-roles.conf).
import { MillraceError } from "../../event/errors.ts";

/** As the server says it: some time after the publish or the subscription, and without more than this. */
export interface Refusal {
  readonly operation: "publish" | "subscription";
  readonly subject: string;
}

const roles: readonly (readonly [subjects: RegExp, role: string])[] = [
  [/^mr\.operate\.|\.by-hand$/, "operator"],
  [/^mr\.inspect\.|^\$JS\.API\.(INFO|STREAM\.(NAMES|INFO|MSG\.GET))\b/, "viewer or operator"],
  [/^mr\.push\./, "publisher"],
];

/** NATS_PERMISSION */
export function notPermitted({ operation, subject }: Refusal, cause?: unknown): MillraceError {
  const publishes = operation === "publish", list = publishes ? "publish.allow" : "subscribe.allow";
  const remedy = !publishes && !/^(mr\.|\$)/.test(subject)
    ? "Answers come there: give --nats-inbox the prefix under which this user may subscribe, such as _INBOX_viewer."
    : `The role that may is ${(publishes ? roles.find(([subjects]) => subjects.test(subject))?.[1] : undefined) ?? "node"} (nats-roles.conf): connect as such a user, or add the subject to ${list} of this one.`;
  return new MillraceError("NATS_PERMISSION", subject, `NATS does not let this user ${publishes ? "publish on" : "subscribe to"} "${subject}"`, remedy, cause === undefined ? {} : { cause });
}
