// The package nats 2.29 as a wire. The only file that imports it.
import { type Authenticator, connect, credsAuthenticator, NatsError, nkeyAuthenticator } from "nats";
import type { Refusal } from "./permission.ts";
import type { ClientLibrary } from "./wire.ts";

export const natsLibrary: ClientLibrary = {
  connect(settings, { credentials, nkeySeed }) {
    const authenticator: Authenticator | undefined = credentials !== undefined ? credsAuthenticator(credentials) : nkeySeed !== undefined ? nkeyAuthenticator(nkeySeed) : undefined;
    return connect(authenticator === undefined ? settings : { ...settings, authenticator });
  },
  failureOf(error) {
    if (!(error instanceof NatsError)) return "other";
    if (error.isAuthError()) return "auth";
    return error.code === "503" ? "nobody-listens" : error.code === "TIMEOUT" ? "timeout" : "other";
  },
  // A status has it under the same name as an error.
  refusalOf: (of) => (of as { readonly permissionContext?: Refusal }).permissionContext,
};
