/** What the door says to what it was told. */
export interface DoorStep {
  /** Authentication messages for the client, in order. */
  readonly send: readonly Buffer[];
  /** The client is let in; AuthenticationOk is not among `send`. */
  readonly open: boolean;
}

/** Authenticates one client. It knows no sockets. */
export interface Door {
  /** What is said before the client has said anything. @throws ProxyError to turn it away */
  begin(): DoorStep;
  /**
   * @param message a whole password message (PasswordMessage, SASLInitialResponse, SASLResponse)
   * @throws ProxyError to turn the client away
   */
  password(message: Buffer): DoorStep;
}
