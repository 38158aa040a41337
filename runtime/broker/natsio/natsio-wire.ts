// The package @nats-io/transport-node, successor of nats 2.29, as a wire. The only file that imports it. JetStream's API is spoken by
// ../nats/ itself, so that its own package is not needed.
import { type Authenticator, AuthorizationError, connect, credsAuthenticator, nkeyAuthenticator, NoRespondersError, PermissionViolationError, RequestError, TimeoutError, UserAuthenticationExpiredError } from "@nats-io/transport-node";
import type { ClientLibrary } from "../nats/wire.ts";

export const natsioLibrary: ClientLibrary = {
  connect(settings, { credentials, nkeySeed }) {
    const authenticator: Authenticator | undefined = credentials !== undefined ? credsAuthenticator(credentials) : nkeySeed !== undefined ? nkeyAuthenticator(nkeySeed) : undefined;
    return connect(authenticator === undefined ? settings : { ...settings, authenticator });
  },
  failureOf(error) {
    const of = causeOf(error);
    if (of instanceof AuthorizationError || of instanceof UserAuthenticationExpiredError) return "auth";
    return of instanceof NoRespondersError ? "nobody-listens" : of instanceof TimeoutError ? "timeout" : "other";
  },
  refusalOf(of) {
    const error = of instanceof Error ? causeOf(of) : (of as { readonly error?: unknown }).error;
    return error instanceof PermissionViolationError ? { operation: error.operation === "publish" ? "publish" : "subscription", subject: error.subject } : undefined;
  },
};

/** What went wrong with a request is the cause of its error, or the error itself. */
function causeOf(error: Error): Error {
  return error instanceof RequestError && error.cause instanceof Error ? error.cause : error;
}
