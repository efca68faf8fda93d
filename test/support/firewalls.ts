/**
 * Debian's ufw and firewalld in a network namespace, with folders of their own.
 * Edge: to processes and mounts. Nothing of the machine's own firewall is touched: each command has a mount
 * namespace of its own.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { run, runSync } from "./lab/shell.js";
import { patient } from "./patience.js";

const START_MS_MAX = 30_000;

/** Why there is no ufw or firewalld on this machine, or undefined. */
export function firewallMissing(name: "ufw" | "firewalld"): string | undefined {
  return runSync("sh", ["-c", `command -v ${name}`])
    ? undefined
    : `${name} is not installed (Debian: ${name})`;
}

async function inside(netnsPath: string, script: string): Promise<void> {
  await run("nsenter", [`--net=${netnsPath}`, "unshare", "-m", "sh", "-ec", script]);
}

export interface Firewall {
  /** Words of the command: ufw(8), firewall-cmd(1). */
  command(...words: string[]): Promise<void>;
  close(): Promise<void>;
}

/** UDP port 4789 is open, as administrators are told to have it between nodes; it is not enabled yet. */
export async function openUfw(netnsPath: string): Promise<Firewall> {
  const dir = mkdtempSync(join(tmpdir(), "skein-ufw-"));
  cpSync("/etc/ufw", join(dir, "ufw"), { recursive: true });
  cpSync("/etc/default/ufw", join(dir, "default"));
  const mounts = `mount --bind ${dir}/ufw /etc/ufw; mount --bind ${dir}/default /etc/default/ufw;`;
  const command = (...words: string[]): Promise<void> =>
    inside(netnsPath, `${mounts} ufw ${words.join(" ")} >&2`);
  await command("allow", "4789/udp");
  return { command, close: async () => rmSync(dir, { recursive: true, force: true }) };
}

const BUS_CONFIG = (path: string): string => `<!DOCTYPE busconfig PUBLIC
 "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>system</type><listen>unix:path=${path}</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/>
<allow own="*"/><allow user="*"/></policy></busconfig>
`;

/** Started, with UDP port 4789 open in its default zone. */
export async function openFirewalld(netnsPath: string): Promise<Firewall> {
  const dir = mkdtempSync(join(tmpdir(), "skein-fwd-"));
  const bus = join(dir, "bus");
  mkdirSync(join(dir, "etc"));
  if (existsSync("/etc/firewalld")) cpSync("/etc/firewalld", join(dir, "etc"), { recursive: true });
  writeFileSync(join(dir, "bus.conf"), BUS_CONFIG(bus));
  const setUp = `mount --bind ${dir}/etc /etc/firewalld; export DBUS_SYSTEM_BUS_ADDRESS=unix:path=${bus};`;
  const children: ChildProcess[] = [
    spawn("dbus-daemon", [`--config-file=${dir}/bus.conf`, "--nofork", "--nopidfile"], { stdio: "ignore" }),
  ];
  const close = async (): Promise<void> => {
    for (const child of children.reverse()) {
      const ended = new Promise((resolve) => child.once("exit", resolve));
      if (child.exitCode !== null || !child.kill("SIGTERM")) continue;
      await ended;
    }
    rmSync(dir, { recursive: true, force: true });
  };
  const command = (...words: string[]): Promise<void> =>
    inside(netnsPath, `${setUp} firewall-cmd -q ${words.join(" ")}`);
  try {
    await until(async () => existsSync(bus), "the bus of firewalld");
    await inside(netnsPath, `${setUp} firewall-offline-cmd -q --zone=public --add-port=4789/udp`);
    children.push(
      spawn(
        "nsenter",
        [`--net=${netnsPath}`, ...["unshare", "-m", "sh", "-ec", `${setUp} exec firewalld --nofork --nopid`]],
        { stdio: "ignore" },
      ),
    );
    await until(async () => {
      try {
        await command("--state");
        return true;
      } catch (error) {
        if (error instanceof Error) return false; // not up yet
        throw error;
      }
    }, "firewalld");
  } catch (error) {
    await close();
    throw error;
  }
  return { command, close };
}

async function until(isTrue: () => Promise<boolean>, what: string): Promise<void> {
  const deadlineMs = Date.now() + patient(START_MS_MAX);
  while (!(await isTrue())) {
    if (Date.now() > deadlineMs) throw new Error(`${what} did not start`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
