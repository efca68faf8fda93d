/**
 * Which calls name a container or an exec of one, and which of them may come through a tunnel. Pure.
 * What a tunnel carries is chosen: what looks into a task's container, runs something in it, or signals it.
 * Nothing makes, renames, changes or removes a container, an image or a volume.
 */

export type NamedCall =
  | { readonly kind: "container"; readonly name: string; readonly call: string }
  | { readonly kind: "exec"; readonly id: string; readonly call: string };

const CONTAINER_CALL = /^\/containers\/([^/]+)((?:\/[a-z]+)*)\/?$/;
const EXEC_CALL = /^\/exec\/([^/]+)\/(start|resize|json)\/?$/;
const EXEC_ID = /^[0-9a-f]{64}$/;
/** What stands where the name of a container would. */
const NO_NAMES: ReadonlySet<string> = new Set(["json", "create", "prune"]);

/** Methods and what follows the name. */
const THROUGH_TUNNELS: ReadonlySet<string> = new Set([
  ...["json", "logs", "top", "stats", "changes", "export", "archive", "attach/ws"].map(
    (call) => `GET ${call}`,
  ),
  ...["attach", "exec", "resize", "wait", "kill", "stop", "pause", "unpause"].map((call) => `POST ${call}`),
  "HEAD archive",
  "PUT archive",
]);

/** @param path without the version. @returns undefined when it names neither. */
export function namedCall(path: string): NamedCall | undefined {
  const exec = EXEC_CALL.exec(path);
  if (exec !== null) return { kind: "exec", id: exec[1] ?? "", call: exec[2] ?? "" };
  const container = CONTAINER_CALL.exec(path);
  if (container === null) return undefined;
  const [, name = "", call = ""] = container;
  if (call === "" && NO_NAMES.has(name)) return undefined;
  return { kind: "container", name: decoded(name), call: call.slice(1) };
}

/** Whether a tunnel serves it. */
export function goesThroughTunnels(method: string, named: NamedCall): boolean {
  return named.kind === "exec" || THROUGH_TUNNELS.has(`${method} ${named.call}`);
}

/** The target of the request with the container's id in the place of its name; the version stays. */
export function withContainerId(target: string, containerId: string): string {
  return target.replace(/^((?:\/v[\d.]+)?\/containers\/)[^/?]+/, `$1${containerId}`);
}

/** What a node answers is its own word: the id of an exec it made, or undefined for whatever else it says. */
export function execIdIn(answer: Uint8Array): string | undefined {
  let said: unknown;
  try {
    said = JSON.parse(Buffer.from(answer).toString("utf8"));
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
  const id = typeof said === "object" && said !== null && "Id" in said ? said.Id : undefined;
  return typeof id === "string" && EXEC_ID.test(id) ? id : undefined;
}

function decoded(name: string): string {
  try {
    return decodeURIComponent(name);
  } catch (error) {
    if (error instanceof URIError) return name;
    throw error;
  }
}
