/**
 * `--security-opt` of containers and tasks, read once for all who must: the API, the manager, the worker.
 * Pure. A refusal is data, in dockerd's words: who reads decides how it is thrown.
 * Source: Docker Engine API 1.51, HostConfig.SecurityOpt.
 */
import type { ContainerSpecification } from "./containers.js";

export interface SecurityOptions {
  /** "" : the engine's. */
  readonly apparmorProfile: string;
  readonly selinuxLabels: readonly string[];
  readonly systemPathsUnconfined: boolean;
  /** undefined: not said, here and below. */
  readonly noNewPrivileges: boolean | undefined;
  readonly seccomp: ContainerSpecification["seccomp"] | undefined;
}

export interface SecurityRefusal {
  readonly refusal: string;
  /** It exists elsewhere, and not on Linux. */
  readonly foreign: boolean;
}

export function parseSecurityOptions(options: readonly string[]): SecurityOptions | SecurityRefusal {
  let apparmorProfile = "";
  let systemPathsUnconfined = false;
  let noNewPrivileges: boolean | undefined;
  let seccomp: SecurityOptions["seccomp"];
  const selinuxLabels: string[] = [];
  for (const option of options) {
    if (option === "no-new-privileges") {
      noNewPrivileges = true;
      continue;
    }
    if (option === "disable") {
      selinuxLabels.push("disable");
      continue;
    }
    const [key, value] = keyAndValue(option);
    if (value === undefined) return refused(`invalid --security-opt 1: ${JSON.stringify(option)}`);
    const wrong = refused(`invalid --security-opt 2: ${JSON.stringify(option)}`);
    switch (key) {
      case "label":
        selinuxLabels.push(value);
        break;
      case "apparmor":
        apparmorProfile = value;
        break;
      case "seccomp": {
        const read = seccompOf(value);
        if ("refusal" in read) return read;
        seccomp = read;
        break;
      }
      case "no-new-privileges":
        if (value !== "true" && value !== "false") return wrong;
        noNewPrivileges = value === "true";
        break;
      case "systempaths":
        if (value !== "unconfined") return wrong;
        systemPathsUnconfined = true;
        break;
      case "credentialspec":
        return { refusal: "security option credentialspec is for Windows alone", foreign: true };
      default:
        return wrong;
    }
  }
  return { apparmorProfile, selinuxLabels, systemPathsUnconfined, noNewPrivileges, seccomp };
}

function refused(refusal: string): SecurityRefusal {
  return { refusal, foreign: false };
}

/** "=" parts them, ":" in the spelling of before. */
function keyAndValue(option: string): readonly [string, string | undefined] {
  const separator = option.includes("=") ? "=" : ":";
  const at = option.indexOf(separator);
  return at < 0 ? [option, undefined] : [option.slice(0, at), option.slice(at + 1)];
}

function seccompOf(value: string): ContainerSpecification["seccomp"] | SecurityRefusal {
  if (value === "unconfined") return { kind: "unconfined" };
  if (value === "builtin" || value === "") return { kind: "default" };
  try {
    JSON.parse(value);
  } catch {
    return refused("Decoding seccomp profile failed: it must be JSON"); // no quote of the profile
  }
  return { kind: "custom", profile: new Uint8Array(Buffer.from(value)) };
}
