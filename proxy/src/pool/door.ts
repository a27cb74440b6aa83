import type { ProxyError } from "../errors.ts";

/** Somebody who was let in. */
export interface LetIn {
  /** What to log in as at the database server. */
  readonly role: string;
  /** How it was authenticated, and who it is; left out where nobody asks. */
  readonly auth?: string | undefined;
  readonly identity?: string | undefined;
  readonly groups?: readonly string[] | undefined;
}

/** What to do next. `send` is whole messages for the client. */
export type DoorStep<A extends LetIn> =
  | { readonly kind: "continue"; readonly send: Buffer }
  /** `send` ends with AuthenticationOk. */
  | { readonly kind: "accepted"; readonly send: Buffer; readonly accepted: A }
  | { readonly kind: "refused"; readonly error: ProxyError };

/** Authenticates one client. It knows no sockets: it takes messages and gives messages, one call at a time. */
export interface Door<A extends LetIn> {
  begin(): Promise<DoorStep<A>>;
  /** @param message the client's password message, whole, with its header */
  feed(message: Buffer): Promise<DoorStep<A>>;
}
