/**
 * Devices by rule, and the words a mapping may hold. Pure.
 * Source: Docker's --device and --device-cgroup-rule.
 */
import { InvalidArgumentError } from "../../base/errors/errors.js";
import type { OciDeviceRule } from "./oci-types.js";

const RULE = /^([acb]) ([0-9]{1,9}|\*):([0-9]{1,9}|\*) ([rwm]{1,3})$/;

/** "c 1:3 rwm", a star for any number. @throws {InvalidArgumentError} */
export function deviceRule(text: string): OciDeviceRule {
  const match = RULE.exec(text);
  if (match === null) throw new InvalidArgumentError(`invalid device cgroup rule format: '${text}'`);
  const [, type = "", major = "", minor = "", access = ""] = match;
  return {
    allow: true,
    type,
    ...(major === "*" ? {} : { major: Number(major) }),
    ...(minor === "*" ? {} : { minor: Number(minor) }),
    access,
  };
}

/** @returns the permissions, rwm for none. @throws {InvalidArgumentError} other letters, or one twice. */
export function devicePermissions(text: string): string {
  if (text === "") return "rwm";
  const letters = [...text];
  if (letters.some((letter) => !"rwm".includes(letter)) || new Set(letters).size < letters.length)
    throw new InvalidArgumentError(`invalid device mode: ${text}`);
  return text;
}
