/**
 * RUN as a container: made, watched from its first byte, waited for; and its root, mounted, for the commit.
 * Edge: to the node's containers. Invariant: whoever calls has the container's id before it runs, and removes
 * it. Source: Dockerfile reference, RUN; Docker Engine API, POST /build.
 */
import { FailedPreconditionError } from "../../../base/errors/errors.js";
import type { BuildRequest } from "../../../proto/engine/build.js";
import type {
  ContainerManager,
  ContainerMount,
  ContainerSpecification,
  FileToPlace,
} from "../../../proto/engine/containers.js";
import type { ContainerStreams } from "../../../proto/engine/streams.js";

/** Containers of builds carry it, so that what a kill left is found. */
export const BUILD_ANNOTATION = "skein.build";

export interface RunPlan {
  readonly buildId: string;
  readonly imageId: string;
  readonly words: readonly string[];
  /** Build arguments. */
  readonly env: readonly string[];
  readonly network: "default" | "none" | "host";
  readonly mounts: readonly ContainerMount[];
  readonly files: readonly FileToPlace[];
}

export interface RunParts {
  readonly containers: ContainerManager;
  readonly streams: Pick<ContainerStreams, "attach">;
}

export function runSpecification(
  plan: RunPlan,
  request: BuildRequest,
  containers: Pick<ContainerManager, "get">,
): ContainerSpecification {
  const { resources } = request;
  const mode = plan.network === "default" ? request.networkMode || "default" : plan.network;
  const network = networkOf(mode, containers);
  return {
    name: "",
    image: plan.imageId,
    entrypoint: [],
    entrypointCleared: true,
    args: plan.words,
    env: plan.env,
    workingDir: "",
    user: "",
    groups: [],
    hostname: "",
    labels: {},
    tty: false,
    openStdin: false,
    attached: { stdin: false, stdout: true, stderr: true },
    readOnly: false,
    init: false,
    mounts: plan.mounts,
    files: plan.files,
    stopSignal: "",
    stopGracePeriodMs: 0,
    healthcheck: {
      test: ["NONE"],
      intervalMs: 0,
      timeoutMs: 0,
      startPeriodMs: 0,
      startIntervalMs: 0,
      retries: 0,
    },
    resources: {
      memoryBytes: resources.memoryBytes,
      swapBytes: resources.swapBytes,
      nanoCpus: 0,
      pidsLimit: 0,
      cpuShares: resources.cpuShares,
      cpuPeriod: resources.cpuPeriod,
      cpuQuota: resources.cpuQuota,
      cpusetCpus: resources.cpusetCpus,
      cpusetMems: resources.cpusetMems,
    },
    isolation: {
      shmSizeBytes: resources.shmSizeBytes,
      cgroupParent: resources.cgroupParent,
      annotations: { [BUILD_ANNOTATION]: plan.buildId },
    },
    capAdd: [],
    capDrop: [],
    sysctls: {},
    ulimits: resources.ulimits,
    oomScoreAdj: 0,
    noNewPrivileges: false,
    seccomp: { kind: "default" },
    network,
    networking: {
      mode,
      endpoints: {},
      exposedPorts: [],
      portBindings: [],
      publishAllPorts: false,
      links: [],
      dns: [],
      dnsSearch: [],
      dnsOptions: [],
      extraHosts: request.extraHosts,
      macAddress: "",
    },
    etcHosts: undefined,
    resolvConf: undefined,
    log: { driver: "", maxSizeBytes: 0, maxFiles: 0 },
  };
}

function networkOf(
  mode: string,
  containers: Pick<ContainerManager, "get">,
): ContainerSpecification["network"] {
  if (mode === "none" || mode === "host") return { kind: mode };
  if (mode.startsWith("container:"))
    return { kind: "container", id: containers.get(mode.slice("container:".length)).id };
  return { kind: "networks" };
}

/**
 * Starts it and yields what it writes: errors in red, as Docker shows them.
 * @throws {FailedPreconditionError} "The command '…' returned a non-zero code: N"; what start throws.
 */
export async function* runToEnd(
  id: string,
  words: readonly string[],
  parts: RunParts,
  signal: AbortSignal,
): AsyncGenerator<string> {
  const { containers, streams } = parts;
  const attached = await streams.attach(id, {
    stdin: false,
    stdout: true,
    stderr: true,
    logs: false,
    stream: true,
    signal,
  });
  try {
    await containers.start(id);
    const decoders = { 1: new TextDecoder(), 2: new TextDecoder() };
    for await (const { stream, data } of attached.output) {
      const text = decoders[stream === 1 ? 1 : 2].decode(data, { stream: true });
      if (text !== "") yield stream === 1 ? text : `\u001b[91m${text}\u001b[0m`;
    }
  } finally {
    attached.close();
  }
  const { exitCode } = await containers.wait(id, { condition: "not-running", signal });
  if (exitCode !== 0) {
    throw new FailedPreconditionError(
      `The command '${words.join(" ")}' returned a non-zero code: ${exitCode}`,
    );
  }
}
