/**
 * PEM, the text form of keys, requests and certificates.
 * Pure. Source: RFC 7468.
 */
import { InvalidArgumentError } from "../errors/errors.js";

/** @param label e.g. "CERTIFICATE". */
export function toPem(label: string, der: Uint8Array): string {
  const lines =
    Buffer.from(der)
      .toString("base64")
      .match(/.{1,64}/g) ?? [];
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ""].join("\n");
}

/** The first block with this label. @throws {InvalidArgumentError} when there is none. */
export function fromPem(label: string, pem: string): Uint8Array {
  const begin = `-----BEGIN ${label}-----`;
  const start = pem.indexOf(begin);
  const end = pem.indexOf(`-----END ${label}-----`, start);
  const body = start < 0 || end < 0 ? "" : pem.slice(start + begin.length, end).replace(/\s/g, "");
  if (body === "" || !/^[A-Za-z0-9+/]+={0,2}$/.test(body)) {
    throw new InvalidArgumentError(`expected PEM with a ${label} block`);
  }
  return new Uint8Array(Buffer.from(body, "base64"));
}
