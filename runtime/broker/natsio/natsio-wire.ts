// The package @nats-io/transport-node, successor of nats 2.29, as a wire. The only file that imports it. JetStream's API is spoken by
// ../nats/ itself, so that its own package is not needed.
import { AuthorizationError, connect, credsAuthenticator, NoRespondersError, RequestError, TimeoutError, UserAuthenticationExpiredError } from "@nats-io/transport-node";
import type { ClientLibrary } from "../nats/wire.ts";

export const natsioLibrary: ClientLibrary = {
  connect: (settings, credentials) => connect(credentials === undefined ? settings : { ...settings, authenticator: credsAuthenticator(credentials) }),
  failureOf(error) {
    // What went wrong with a request is the cause of its error, or the error itself.
    const of = error instanceof RequestError && error.cause instanceof Error ? error.cause : error;
    if (of instanceof AuthorizationError || of instanceof UserAuthenticationExpiredError) return "auth";
    return of instanceof NoRespondersError ? "nobody-listens" : of instanceof TimeoutError ? "timeout" : "other";
  },
};
