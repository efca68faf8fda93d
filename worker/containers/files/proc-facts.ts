/**
 * What /proc says of one process. Pure. Invariant: never throws, whatever a process calls itself.
 * Source: proc(5), /proc/pid/stat fields 3 to 24 and /proc/pid/status.
 */

export interface ProcessFacts {
  readonly pid: number;
  readonly parentPid: number;
  readonly uid: number;
  /** One letter, and s for the leader of a session. */
  readonly state: string;
  readonly tty: string;
  readonly cpuTicks: number;
  /** After boot. */
  readonly startTicks: number;
  readonly virtualKib: number;
  readonly residentKib: number;
  readonly command: string;
}

/** @returns undefined for a process that is not there. */
export function procFacts(texts: {
  stat: string;
  status: string;
  cmdline: string;
}): ProcessFacts | undefined {
  const open = texts.stat.indexOf("(");
  const close = texts.stat.lastIndexOf(")"); // the name may hold anything, also blanks and brackets
  const pid = Number(texts.stat.slice(0, Math.max(open, 0)).trim());
  if (open < 0 || close < open || !Number.isSafeInteger(pid) || pid <= 0) return undefined;
  const name = texts.stat.slice(open + 1, close);
  const fields = texts.stat
    .slice(close + 1)
    .trim()
    .split(/\s+/);
  const field = (number: number): number => {
    const value = Number(fields[number - 3] ?? 0);
    return Number.isFinite(value) ? value : 0;
  };
  const status = (key: string): number =>
    Number(new RegExp(`^${key}:\\s+(\\d+)`, "m").exec(texts.status)?.[1] ?? 0);
  const command = printable(texts.cmdline.replace(/\0+$/, "").replaceAll("\0", " "));
  return {
    pid,
    parentPid: field(4),
    uid: status("Uid"),
    state: `${fields[0] ?? "?"}${field(6) === pid ? "s" : ""}`,
    tty: ttyName(field(7)),
    cpuTicks: field(14) + field(15),
    startTicks: field(22),
    virtualKib: Math.floor(field(23) / 1024),
    residentKib: status("VmRSS"),
    command: command === "" ? `[${printable(name)}]` : command,
  };
}

function printable(text: string): string {
  return text.replace(/\p{Cc}/gu, "?");
}

function ttyName(device: number): string {
  const [major, minor] = [(device >> 8) & 0xfff, (device & 0xff) | ((device >>> 12) & 0xfff00)];
  if (major === 0) return "?";
  if (major >= 136 && major <= 143) return `pts/${(major - 136) * 256 + minor}`;
  return major === 4 ? `tty${minor}` : "?";
}
