/**
 * What a manager answers: the services it hosts, who may call which, and which calls only the leader carries
 * out. Edge: composition of edges. Invariant: every service stands behind the one gate.
 */
import type { ServiceDefinition, UntypedServiceImplementation } from "@grpc/grpc-js";
import type { Clock } from "../base/clock/clock.js";
import type { Scope } from "../base/lifecycle/scope.js";
import type { Logger } from "../base/log/logger.js";
import type { Random } from "../base/random/random.js";
import { createAttachmentHandlers } from "../manager/attachments/grpc-attachments.js";
import { createBackupHandlers } from "../manager/backup/grpc-backup.js";
import { createHttpExternalSigner } from "../manager/ca/http-external-ca.js";
import { createNodeCaHandlers } from "../manager/ca/node-ca.js";
import { authorize } from "../manager/ca/rpc-roles.js";
import { trustView } from "../manager/ca/trust.js";
import { createExplainHandlers } from "../manager/causes/grpc-explain.js";
import { createControlHandlers } from "../manager/control/control-handlers.js";
import { EventHistory } from "../manager/control/event-history.js";
import { tellLeaders } from "../manager/control/leader-events.js";
import { createDispatcher } from "../manager/dispatcher/dispatcher.js";
import type { SecretDrivers } from "../manager/dispatcher/driver-secrets.js";
import { createLeaderReportsHandlers } from "../manager/dispatcher/grpc-leader-reports.js";
import { createGrpcReportSink, type LeaderLink } from "../manager/dispatcher/grpc-report-sink.js";
import { createLogBroker } from "../manager/logbroker/log-broker.js";
import { createPlanHandlers } from "../manager/plan/grpc-plan.js";
import { createReach } from "../manager/reach/grpc-reach.js";
import { NodeListeners } from "../manager/reach/node-listeners.js";
import { createStacksHandlers } from "../manager/stacks/control/grpc-stacks.js";
import type { MemoryStore } from "../manager/store/memory-store.js";
import { AttachmentsService } from "../proto/gen/skein/v1/attachments.js";
import { BackupService } from "../proto/gen/skein/v1/backup.js";
import { NodeCaService } from "../proto/gen/skein/v1/ca.js";
import { ControlService } from "../proto/gen/skein/v1/control.js";
import { DebugService } from "../proto/gen/skein/v1/debug.js";
import {
  DispatcherService,
  LeaderReportsClient,
  LeaderReportsService,
} from "../proto/gen/skein/v1/dispatcher.js";
import { ExplainService } from "../proto/gen/skein/v1/explain.js";
import { LogBrokerService, LogsService } from "../proto/gen/skein/v1/logs.js";
import { PlannerService } from "../proto/gen/skein/v1/plan.js";
import { RaftMembershipService, RaftService } from "../proto/gen/skein/v1/raft.js";
import { ReachService, TunnelsService } from "../proto/gen/skein/v1/reach.js";
import { StacksService } from "../proto/gen/skein/v1/stacks.js";
import { NodeRole } from "../proto/gen/skein/v1/types.js";
import { createDebugHandlers } from "../raft/host/grpc-debug.js";
import { createMembershipHandlers } from "../raft/host/grpc-membership.js";
import type { RaftNode } from "../raft/host/raft-node.js";
import { createRaftHandlers, type GrpcTransport } from "../raft/transport/grpc-transport.js";
import { LeaderDuties } from "./leader-duties.js";
import { createLeaderGate, type LeaderView } from "./leader-gate.js";
import { followLogLimits } from "./log-limits.js";
import { SKEIN_VERSION } from "./machine-facts.js";
import type { ManagerChannels } from "./manager-channels.js";
import { ManagerDirectoryView } from "./manager-directory.js";
import type { ManagerConfig } from "./manager-messages.js";
import { type HostedService, RpcHost, type TlsIdentity } from "./rpc-host.js";

const pathsOf = (definition: ServiceDefinition, pick: (name: string) => boolean = () => true): string[] =>
  Object.values(definition)
    .filter((method) => !method.requestStream && !method.responseStream)
    .map((method) => method.path)
    .filter((path) => pick(path.slice(path.lastIndexOf("/") + 1)));

const LEADER_ONLY: ReadonlySet<string> = new Set([
  ...pathsOf(ControlService),
  ...pathsOf(ExplainService),
  ...pathsOf(PlannerService),
  ...pathsOf(StacksService),
  ...pathsOf(AttachmentsService),
  ...pathsOf(RaftMembershipService),
  ...pathsOf(LeaderReportsService),
  ...pathsOf(NodeCaService, (name) => name === "Issue"),
]);
const LINEARIZABLE: ReadonlySet<string> = new Set([
  ...pathsOf(ControlService, (name) => /^(Get|List)/.test(name)),
  ...pathsOf(ExplainService),
  ...pathsOf(PlannerService),
  ...pathsOf(StacksService, (name) => /^(Get|List|Plan|Diff)/.test(name)),
]);

const FROM_REPLICA: ReadonlySet<string> = new Set([
  ControlService.watchEvents.path,
  LogsService.subscribeLogs.path,
  LogsService.findRemoved.path,
  BackupService.create.path,
  ReachService.findContainer.path,
  ReachService.openTunnel.path,
  StacksService.watchStack.path,
]);

export interface ServeParts {
  readonly config: ManagerConfig;
  readonly world: {
    readonly clock: Clock;
    readonly random: Random;
    readonly log: Logger;
    readonly secretDrivers?: SecretDrivers;
  };
  readonly scope: Scope;
  readonly channels: ManagerChannels;
  readonly identity: TlsIdentity;
  readonly clusterId: string;
  readonly nodeId: string;
  readonly store: MemoryStore;
  readonly raft: RaftNode;
  readonly transport: GrpcTransport;
}

/** Opens everything that answers; the scope owns what is opened, but for the host, which closes after Raft. */
export async function serveManager(parts: ServeParts): Promise<RpcHost> {
  const { config, world, scope, channels, identity, clusterId, nodeId, store, raft, transport } = parts;
  const { clock, random, log } = world;
  const view = leaderViewOf(raft);
  const directory = new ManagerDirectoryView(raft);
  scope.own(directory);
  const duties = new LeaderDuties(
    { store, raft, clock, random, log },
    { onChange: () => sink.leaderChanged() },
  );
  scope.own(duties);
  const sink = createGrpcReportSink({
    managerNodeId: nodeId,
    leader: () => leaderLink(view, duties, channels),
    clock,
    random: random.child("reports"),
    log: log.child({ component: "reports" }),
  });
  scope.own(sink);
  scope.defer(raft.onLeadership(() => sink.leaderChanged()));
  scope.defer(followLogLimits(store, raft));
  const trust = trustView(store, identity.rootCaPem);
  const dispatcher = createDispatcher({
    store,
    reports: sink,
    managers: directory,
    trust,
    readBarrier: () => raft.readBarrier(),
    ...(world.secretDrivers === undefined ? {} : { secretDrivers: world.secretDrivers }),
    clock,
    random: random.child("dispatcher"),
    log: log.child({ component: "dispatcher" }),
  });
  scope.own(dispatcher);
  const listeners = new NodeListeners();
  const broker = createLogBroker({
    store,
    clock,
    random: random.child("logs"),
    log: log.child({ component: "logs" }),
    listeners,
  });
  scope.own(broker);
  const reach = createReach({ store, listeners, clock, random: random.child("tunnels") });
  scope.own(reach);
  const events = new EventHistory({ store, nowMs: () => clock.nowMs(), log });
  scope.own(events);
  scope.defer(tellLeaders({ raft, store, tell: (event) => events.add(event) }));
  const managerAddresses = (): string[] => directory.list().map(({ address }) => address);
  const external = createHttpExternalSigner(() => channels.identity);
  const control = {
    store,
    external,
    clock,
    random: random.child("control"),
    log: log.child({ component: "control" }),
    raft,
    events,
  };
  const ca = {
    store,
    external,
    clock,
    random: random.child("ca"),
    log: log.child({ component: "ca" }),
    managerAddresses,
  };
  const backup = {
    store,
    raft,
    nodeId,
    skeinVersion: SKEIN_VERSION,
    clock,
    random: random.child("backup"),
    log: log.child({ component: "backup" }),
  };
  const services: HostedService[] = [
    hosted(NodeCaService, createNodeCaHandlers(ca)),
    hosted(ControlService, createControlHandlers(control)),
    hosted(BackupService, createBackupHandlers(backup)),
    hosted(ExplainService, createExplainHandlers({ store, clock })),
    hosted(PlannerService, createPlanHandlers(control)),
    hosted(
      StacksService,
      createStacksHandlers({ ...control, readBarrier: (options) => raft.readBarrier(options) }),
    ),
    hosted(DispatcherService, dispatcher.handlers),
    hosted(
      AttachmentsService,
      createAttachmentHandlers({ store, clock, random: random.child("attachments") }),
    ),
    hosted(
      LeaderReportsService,
      createLeaderReportsHandlers(() => duties.reports),
    ),
    hosted(LogsService, broker.logsHandlers),
    hosted(LogBrokerService, broker.brokerHandlers),
    hosted(ReachService, reach.reachHandlers),
    hosted(TunnelsService, reach.tunnelHandlers),
    hosted(RaftService, createRaftHandlers(transport)),
    hosted(RaftMembershipService, createMembershipHandlers(raft)),
    hosted(DebugService, createDebugHandlers(raft)),
  ];
  const guard = createLeaderGate({
    definitions: services.map(({ definition }) => definition),
    leaderOnly: LEADER_ONLY,
    linearizable: LINEARIZABLE,
    fromReplica: FROM_REPLICA,
    authorize: (path, peer) => authorize(path, peer, clusterId),
    isKnown: (peer) => {
      const node = store.view((tx) => tx.get("node", peer.nodeId));
      return node !== undefined && (peer.role === "swarm-worker" || node.role === NodeRole.MANAGER);
    },
    leader: view,
    channels,
    self: { nodeId, clusterId, role: "swarm-manager" },
    clock,
    log: log.child({ component: "gate" }),
  });
  const { listen, socketPath } = config.place;
  return RpcHost.open({
    services,
    guard,
    identity,
    listen,
    socketPath,
    log: log.child({ component: "rpc" }),
  });
}

function hosted(definition: ServiceDefinition, handlers: UntypedServiceImplementation): HostedService {
  return { definition, handlers };
}

function leaderViewOf(raft: RaftNode): LeaderView {
  return {
    get isLeader(): boolean {
      return raft.isLeader;
    },
    get leaderAddress(): string | undefined {
      return raft.leaderMember?.address;
    },
    onChange: (listener) => raft.onLeadership(() => listener()),
    readBarrier: (options) => raft.readBarrier(options),
  };
}

function leaderLink(view: LeaderView, duties: LeaderDuties, channels: ManagerChannels): LeaderLink {
  if (view.isLeader)
    return duties.reports === undefined ? { kind: "none" } : { kind: "local", reports: duties.reports };
  const address = view.leaderAddress;
  if (address === undefined) return { kind: "none" };
  return {
    kind: "remote",
    client: new LeaderReportsClient(address, channels.credentials(), {
      channelOverride: channels.to(address),
    }),
  };
}
