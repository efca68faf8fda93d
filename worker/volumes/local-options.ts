/**
 * Options of the local volume driver: what is mounted at a volume's place. Pure.
 * Source: Docker's `volume create --opt type=… o=… device=…`; mount(8) for the words of `o`.
 */
import { InvalidArgumentError } from "../../base/errors/errors.js";

export interface LocalMount {
  /** "none" for a bind mount. */
  readonly type: string;
  readonly device: string;
  /** What the kernel knows as flags. */
  readonly flags: readonly string[];
  /** The rest, for the file system. */
  readonly data: readonly string[];
}

const KNOWN = ["type", "o", "device", "size"];
const FLAGS = ["ro", "nosuid", "nodev", "noexec", "noatime", "bind", "rbind", "private", "rprivate"].concat([
  "slave",
  "rslave",
  "shared",
  "rshared",
]);
/** The kernel's own defaults, and words that are for other programs. */
const WITHOUT_EFFECT = ["", "defaults", "rw", "suid", "dev", "exec", "atime", "async", "auto", "noauto"];
const OPTION_LENGTH_MAX = 4_096;

/**
 * @returns undefined for a plain folder.
 * @throws {InvalidArgumentError} naming the option that is unknown or missing.
 */
export function localMount(options: Readonly<Record<string, string>>): LocalMount | undefined {
  const names = Object.keys(options);
  const unknown = names.find((name) => !KNOWN.includes(name));
  if (unknown !== undefined) throw new InvalidArgumentError(`invalid option: ${JSON.stringify(unknown)}`);
  for (const name of names) {
    const value = options[name] ?? "";
    if (value.length > OPTION_LENGTH_MAX || value.includes("\0"))
      throw new InvalidArgumentError(`option ${JSON.stringify(name)} is too long or holds a NUL`);
  }
  const { type = "", o = "", device = "", size } = options;
  if (size !== undefined) throw new InvalidArgumentError("quota size requested but no quota support");
  if (names.length === 0) return undefined;
  for (const [name, value] of Object.entries({ device, type }))
    if (value === "") throw new InvalidArgumentError(`missing required option: ${JSON.stringify(name)}`);
  const words = o.split(",").map((word) => word.trim());
  return {
    type,
    device,
    flags: words.filter((word) => FLAGS.includes(word)),
    data: words.filter((word) => !FLAGS.includes(word) && !WITHOUT_EFFECT.includes(word)),
  };
}

/** Whether the server's name in `addr=` must be looked up: the kernel takes addresses only. */
export function serverName(mount: LocalMount): string | undefined {
  if (!/^(nfs4?|cifs|smb3)$/.test(mount.type)) return undefined;
  const word = mount.data.find((each) => each.startsWith("addr="));
  return word === undefined ? undefined : word.slice("addr=".length);
}

export function withServerAddress(mount: LocalMount, address: string): LocalMount {
  const data = mount.data.map((word) => (word.startsWith("addr=") ? `addr=${address}` : word));
  return { ...mount, data };
}
