/**
 * The process of an exec: what the container's own process is, changed by what was asked for. Pure.
 * Rules are Docker's: variables of the request win over the container's by name, a terminal sets TERM, another
 * user gets his own home; privileged gives every capability.
 */
import type { ExecSpecification } from "../../../proto/engine/streams.js";
import type { OciProcess } from "../../runtime/oci-types.js";
import type { ResolvedUser } from "../../runtime/oci-user.js";
import { mergeEnv } from "../container-process.js";

export function execProcess(
  container: OciProcess,
  specification: ExecSpecification,
  options: { readonly user: ResolvedUser | undefined; readonly allCapabilities: readonly string[] },
): OciProcess {
  const { user } = options;
  const env = mergeEnv(
    user === undefined ? container.env : container.env.filter((entry) => !entry.startsWith("HOME=")),
    user === undefined ? [] : [`HOME=${user.home}`],
    specification.tty && !container.terminal ? ["TERM=xterm"] : [],
    specification.env,
  );
  const all = options.allCapabilities;
  const capabilities = specification.privileged
    ? { ...container.capabilities, bounding: all, effective: all, permitted: all }
    : container.capabilities;
  return {
    ...container,
    args: specification.args,
    env,
    cwd: specification.workingDir === "" ? container.cwd : specification.workingDir,
    terminal: specification.tty,
    capabilities,
    ...(user === undefined
      ? {}
      : { user: { uid: user.uid, gid: user.gid, additionalGids: user.additionalGids } }),
  };
}
