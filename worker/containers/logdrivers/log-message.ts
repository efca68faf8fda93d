/**
 * What a forwarding driver makes of a line: bytes as its receiver wants them. Pure (types only).
 */
export interface LogMessage {
  readonly stream: "stdout" | "stderr";
  /** RFC 3339 with nanoseconds. */
  readonly timestamp: string;
  /** Without its newline. */
  readonly text: Buffer;
}

export interface LogOrigin {
  readonly id: string;
  readonly name: string;
  readonly imageId: string;
  readonly imageName: string;
  readonly command: string;
  readonly createdMs: number;
  readonly hostname: string;
  readonly tag: string;
  readonly attributes: Readonly<Record<string, string>>;
}

/** @returns what is sent: on packets, one each; on connections, one after the other. */
export type LogEncoder = (message: LogMessage) => readonly Uint8Array[];
