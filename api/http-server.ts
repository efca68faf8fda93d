/**
 * The Docker Engine API by HTTP. Edge: to node:http and find-my-way.
 * Versions 1.24 to the newest are one surface: fields a client does not know, it ignores. Errors are JSON; a
 * known endpoint that is not served answers 501 with its name, any other path 404.
 */
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import findMyWay, { type HTTPMethod } from "find-my-way";
import {
  AbortedError,
  FailedPreconditionError,
  InvalidArgumentError,
  messageOf,
  NotFoundError,
  NotImplementedError,
} from "../base/errors/errors.js";
import { containerRouteOptions } from "./container-backend.js";
import { pruneEvent } from "./docker-events.js";
import { EngineEvents } from "./engine-events.js";
import { Exchange, sendError, sendReply } from "./http-exchange.js";
import { type UpgradeParts, upgradedResponse } from "./http-hijack.js";
import { type ListenOptions, listenAll } from "./http-listeners.js";
import { ManagerClients } from "./manager-clients.js";
import { REPORT_PATH } from "./net/node-network-report.js";
import type { EngineBackend } from "./ports.js";
import { ContainerAccess } from "./reach/container-access.js";
import { namedCall } from "./reach/container-calls.js";
import type { ContainerReach } from "./reach/container-reach.js";
import type { TunnelServer } from "./reach/http-tunnel-server.js";
import { attachRoutes } from "./routes/attach-routes.js";
import { backupRoutes } from "./routes/backup-routes.js";
import { buildingRoutes } from "./routes/building-routes.js";
import { containerFileRoutes } from "./routes/container-file-routes.js";
import { containerLifeRoutes } from "./routes/container-life-routes.js";
import { containerLogRoutes } from "./routes/container-log-routes.js";
import { containerRoutes } from "./routes/container-routes.js";
import { containerStatsRoutes } from "./routes/container-stats-routes.js";
import { debugRoutes } from "./routes/debug-routes.js";
import { diskUsageRoutes } from "./routes/disk-usage-routes.js";
import { eventRoutes } from "./routes/event-routes.js";
import { execRoutes } from "./routes/exec-routes.js";
import { imageRoutes } from "./routes/image-routes.js";
import { imageTransferRoutes } from "./routes/image-transfer-routes.js";
import { logRoutes } from "./routes/log-routes.js";
import { netRoutes } from "./routes/net-routes.js";
import { networkRoutes } from "./routes/network-routes.js";
import { LOAD_PATH, nodeImageRoutes } from "./routes/node-image-routes.js";
import { nodeRoutes } from "./routes/node-routes.js";
import { planRoutes } from "./routes/plan-routes.js";
import { registryRoutes } from "./routes/registry-routes.js";
import type { Route } from "./routes/route.js";
import { configRoutes, secretRoutes } from "./routes/secret-routes.js";
import { serviceRoutes, taskRoutes } from "./routes/service-routes.js";
import { stackRoutes } from "./routes/stack-routes.js";
import { swarmRoutes } from "./routes/swarm-routes.js";
import { API_VERSION, API_VERSION_MIN, pingHeaders, systemRoutes } from "./routes/system-routes.js";
import { volumeRoutes } from "./routes/volume-routes.js";
import { whyRoutes } from "./routes/why-routes.js";
import { UNIMPLEMENTED } from "./unimplemented-routes.js";

/** Of TCP connections; those of local sockets end with their client. */
const KEEPALIVE_MS = 15_000;
const VERSION_PREFIX = /^\/v(\d+)\.(\d+)(?=\/)/;
/** Newest version clients may ask for. */
const VERSION_MINOR_MAX = Number(API_VERSION.split(".")[1]);
/** Paths are relative to it; its host means nothing. */
const BASE_URL = "http://skein";
/** What a tunnel carries beside calls to tasks' containers. */
const TUNNELLED_CALLS: ReadonlySet<string> = new Set([`GET ${REPORT_PATH}`, `POST ${LOAD_PATH}`]);
/** An image name may hold slashes: they are escaped so that it is one path segment. */
const IMAGE_NAME = new RegExp(
  "^/(images|distribution)/(?!json$|create$|load$|get$|search$|prune$)(.+?)" +
    "(/(?:json|tag|push|history|get|attestations))?$",
);

export interface ApiServer {
  /** A manager reaches for a task's container on this node: one connection, one request. */
  serveTunnel(connection: Duplex): void;
  close(): Promise<void>;
}

function streamRoutes(streaming: NonNullable<EngineBackend["streaming"]>): Route[] {
  return [...attachRoutes(streaming), ...execRoutes(streaming), ...containerLogRoutes(streaming)];
}

function allImageRoutes({ images, containers, clock }: EngineBackend, { journal }: EngineEvents): Route[] {
  const onPruned = (bytes: number): void => journal.add(pruneEvent("image", bytes, clock.nowMs()));
  return [
    ...imageRoutes({ images, containers, onPruned, nowMs: () => clock.nowMs() }),
    ...imageTransferRoutes({ images }),
    ...registryRoutes({ images }),
  ];
}

function routesOf(backend: EngineBackend, clients: ManagerClients, events: EngineEvents): Route[] {
  const isManager = (): boolean => backend.isManager();
  const ofContainers = containerRouteOptions(backend, events.journal);
  const onPruned = (type: string) => (bytes: number) =>
    events.journal.add(pruneEvent(type, bytes, backend.clock.nowMs()));
  return [
    ...systemRoutes(backend, clients),
    ...debugRoutes(clients, isManager, () => backend.networkAudits?.()),
    ...swarmRoutes(clients, backend.swarm, () => backend.settings().swarmDefaultAdvertiseAddr),
    ...backupRoutes(clients, backend.swarm),
    ...nodeRoutes(clients),
    ...nodeImageRoutes(clients, backend),
    ...serviceRoutes(clients, { random: backend.random, local: backend.localNetworks }),
    ...taskRoutes(clients),
    ...whyRoutes(clients),
    ...planRoutes(clients),
    ...stackRoutes({ clients, random: backend.random, clock: backend.clock }),
    ...logRoutes(clients),
    ...secretRoutes(clients),
    ...configRoutes(clients),
    ...netRoutes(clients, backend),
    ...networkRoutes(clients, {
      local: backend.localNetworks,
      containers: backend.containers,
      isManager,
      known: () => backend.known?.(),
      networksOfTask: (taskId) => (taskId === "" ? [] : backend.networksOfTask(taskId)),
      nowMs: () => backend.clock.nowMs(),
      onPruned: onPruned("network"),
    }),
    ...allImageRoutes(backend, events),
    ...containerRoutes(ofContainers),
    ...containerLifeRoutes(ofContainers),
    ...(backend.streaming === undefined ? [] : streamRoutes(backend.streaming)),
    ...(backend.files === undefined ? [] : containerFileRoutes(backend.files)),
    ...(backend.files === undefined ? [] : containerStatsRoutes({ ...backend, files: backend.files })),
    ...buildingRoutes(backend, onPruned("builder")),
    ...diskUsageRoutes({ backend, images: backend.images, containers: ofContainers }),
    ...volumeRoutes({
      volumes: backend.containers.volumes,
      containers: backend.containers,
      onPruned: onPruned("volume"),
    }),
    ...eventRoutes({
      journal: events.journal,
      watch: events.watch,
      nowMs: () => backend.clock.nowMs(),
      daemon: { id: backend.facts.engineId, name: backend.facts.hostname },
    }),
  ];
}

/** Path without version prefix. @throws {InvalidArgumentError} a version outside the range. */
function unversioned(path: string): string {
  const match = VERSION_PREFIX.exec(path);
  if (match === null) return path;
  const minor = Number(match[2]);
  if (match[1] !== "1" || minor > VERSION_MINOR_MAX) {
    throw new InvalidArgumentError(
      `client version ${match[1]}.${minor} is too new. Maximum supported API version is ${API_VERSION}`,
    );
  }
  if (minor < Number(API_VERSION_MIN.split(".")[1])) {
    throw new InvalidArgumentError(
      `client version ${match[1]}.${minor} is too old. Minimum supported API version is ` +
        `${API_VERSION_MIN}, please upgrade your client to a newer version`,
    );
  }
  return path.slice(match[0].length);
}

/** Headers that other answers have no use for. */
const PING_ALONE = new Set(["Builder-Version", "Cache-Control", "Pragma"]);
/** Whose state forbids what was asked for with 409. */
const OF_CONTAINERS = /^(\/v[\d.]+)?\/(containers|exec|volumes|commit)(\/|$)/;

/** What the state of a container or a volume forbids is a conflict, as Docker has it. */
function conflictOf(path: string, error: unknown): unknown {
  if (!(error instanceof FailedPreconditionError) || !OF_CONTAINERS.test(path)) return error;
  return new AbortedError(error.message, { cause: error });
}

function oneSegmentImageName(path: string): string {
  const match = IMAGE_NAME.exec(path);
  if (match === null) return path;
  return `/${match[1]}/${(match[2] ?? "").replaceAll("/", "%2F")}${match[3] ?? ""}`;
}

export async function openApiServer(backend: EngineBackend, options: ListenOptions): Promise<ApiServer> {
  const clients = new ManagerClients(backend);
  const events = new EngineEvents(backend);
  const router = findMyWay({ ignoreTrailingSlash: true, maxParamLength: 1_000 });
  const handlers = new Map<object, Route>();
  for (const route of routesOf(backend, clients, events)) {
    if (route.path === "/networks/") continue; // the router ignores trailing slashes
    router.on(route.method as HTTPMethod, route.path, () => undefined, route);
    handlers.set(route, route);
  }
  for (const [method, path] of UNIMPLEMENTED) {
    const route: Route = {
      method: method as Route["method"], // the table holds these words only
      path,
      handle: () =>
        Promise.reject(new NotImplementedError(`${method} ${path} is not implemented by Skein yet`)),
    };
    router.on(route.method as HTTPMethod, path, () => undefined, route);
    handlers.set(route, route);
  }

  const access = new ContainerAccess(backend);
  let reach: ContainerReach | undefined;
  let tunnels: Promise<TunnelServer> | undefined;

  async function serve(
    request: IncomingMessage,
    response: ServerResponse,
    { upgrade, tunnelled = false }: { upgrade?: UpgradeParts; tunnelled?: boolean } = {},
  ): Promise<void> {
    const method = request.method ?? "GET";
    const startedMs = backend.clock.monotonicMs();
    const target = request.url ?? "/";
    // What no URL can be made of is a page that is not there; nothing a client sends may throw out of here.
    const url = URL.canParse(target, BASE_URL)
      ? new URL(target, BASE_URL)
      : new URL("/no/such/page", BASE_URL);
    for (const [name, value] of Object.entries(pingHeaders(backend))) {
      if (!PING_ALONE.has(name)) response.setHeader(name, value);
    }
    response.setHeader("Server", `Skein/${backend.facts.version} (linux)`);
    try {
      let path = unversioned(url.pathname);
      const named = namedCall(path);
      if (tunnelled && !TUNNELLED_CALLS.has(`${method} ${path}`)) access.assertTunnelled(method, named);
      else if (!tunnelled && named !== undefined && access.isElsewhere(named)) {
        reach ??= new (await import("./reach/container-reach.js")).ContainerReach(backend);
        const far = await reach.serve({ named, request, response, upgrade });
        if (far.kind === "answered") return;
        if (far.target !== undefined) path = unversioned(new URL(far.target, BASE_URL).pathname);
      }
      if (method === "OPTIONS") {
        sendReply(response, { status: 200 }); // of whatever path, as Docker
        return;
      }
      const found = router.find(method as HTTPMethod, oneSegmentImageName(path));
      // we stored the route itself
      const route = found === null ? undefined : handlers.get(found.store as object);
      if (found === null || route === undefined) {
        throw new NotFoundError("page not found"); // dockerd's words
      }
      const reply = await route.handle(
        new Exchange({
          ...{ request, response, params: found.params, query: url.searchParams },
          ...(upgrade === undefined ? {} : { upgrade }),
        }),
      );
      if (reply !== undefined) sendReply(response, reply);
    } catch (error) {
      const status = sendError(response, conflictOf(url.pathname, error));
      const fields = { method, path: url.pathname, status, error: messageOf(error) };
      if (status >= 500 && status !== 501 && status !== 503) backend.log.error("request failed", fields);
      else backend.log.debug("request refused", fields);
    }
    backend.log.debug("request", {
      method,
      path: url.pathname,
      status: response.statusCode,
      tookMs: backend.clock.monotonicMs() - startedMs,
    });
  }

  const upgraded = new Set<Duplex>(); // the servers forget them, and would wait for them all the same
  const handle = (server: Server, tunnelled: boolean): void => {
    server.on("request", (request, response) => void serve(request, response, { tunnelled }));
    server.on("upgrade", (request, socket, head) => {
      const response = upgradedResponse(request, socket as Socket); // of node:http: local or TCP
      if (response === undefined) return;
      upgraded.add(socket);
      socket.once("close", () => upgraded.delete(socket));
      void serve(request, response, { upgrade: { socket, head }, tunnelled });
    });
  };
  const prepare = (server: Server): void => {
    handle(server, false);
    // A client whose machine went away must not hold an attached container's output up for ever.
    server.on("connection", (socket) => socket.setKeepAlive(true, KEEPALIVE_MS));
    server.keepAliveTimeout = 60_000;
    server.requestTimeout = 0; // a load or an event stream may take as long as it takes
  };
  let servers: readonly Server[];
  try {
    servers = await listenAll(options, prepare);
    // From now on it is a connection that could not be accepted (no file descriptors): the next ones may be.
    for (const server of servers)
      server.on("error", (error) =>
        backend.log.error("a connection was not accepted", { error: messageOf(error) }),
      );
  } catch (error) {
    events.close();
    throw error;
  }
  return {
    serveTunnel: (connection) => {
      tunnels ??= import("./reach/http-tunnel-server.js").then(({ TunnelServer }) => {
        return new TunnelServer((server) => handle(server, true));
      });
      tunnels.then(
        (server) => server.accept(connection),
        (error: unknown) => connection.destroy(error instanceof Error ? error : undefined),
      );
    },
    close: async () => {
      const closed = servers.map((server) => new Promise<void>((resolve) => server.close(() => resolve())));
      for (const server of servers) server.closeAllConnections();
      for (const socket of upgraded) socket.destroy();
      (await tunnels)?.close();
      reach?.close();
      events.close();
      await Promise.all(closed);
    },
  };
}
