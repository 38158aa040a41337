// The package nats 2.29 as a wire. The only file that imports it.
import { connect, credsAuthenticator, NatsError } from "nats";
import type { ClientLibrary } from "./wire.ts";

export const natsLibrary: ClientLibrary = {
  connect: (settings, credentials) => connect(credentials === undefined ? settings : { ...settings, authenticator: credsAuthenticator(credentials) }),
  failureOf(error) {
    if (!(error instanceof NatsError)) return "other";
    if (error.isAuthError()) return "auth";
    return error.code === "503" ? "nobody-listens" : error.code === "TIMEOUT" ? "timeout" : "other";
  },
};
