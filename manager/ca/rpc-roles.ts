/**
 * Who may call which RPC: one row per method, and the check.
 * Pure. Invariant: a method without a row is refused; a test compares the rows with the services.
 */
import { PermissionDeniedError, UnauthenticatedError } from "../../base/errors/errors.js";
import type { PeerIdentity } from "../../base/grpc/peer-identity.js";

/** `node`: any certificate of this cluster; `manager`: a manager's certificate. */
export type RequiredRole = "anyone" | "node" | "manager";

function rows(
  service: string,
  role: RequiredRole,
  methods: string,
): readonly (readonly [string, RequiredRole])[] {
  return methods.split(" ").map((method) => [`/skein.v1.${service}/${method}`, role] as const);
}

/** By full method path. */
export const RPC_ROLES: ReadonlyMap<string, RequiredRole> = new Map([
  ...rows("NodeCa", "anyone", "GetRootCa Issue"),
  ...rows("Dispatcher", "node", "Session"),
  ...rows("LogBroker", "node", "ListenSubscriptions PublishLogs"),
  ...rows("LeaderReports", "manager", "Report"),
  ...rows("Logs", "manager", "SubscribeLogs FindRemoved"),
  ...rows("Explain", "manager", "GetServiceExplanation GetTaskExplanation"),
  ...rows("Planner", "manager", "Plan"),
  ...rows(
    "Stacks",
    "manager",
    "DeployStack PlanStack RollbackStack RemoveStack GetStack ListStacks ListRevisions GetRevision DiffStack " +
      "WatchStack",
  ),
  ...rows("Reach", "manager", "FindContainer OpenTunnel"),
  ...rows("Tunnels", "node", "ServeTunnel"),
  ...rows("Attachments", "node", "Attach Detach"),
  ...rows("Raft", "manager", "Stream InstallSnapshot"),
  ...rows("Backup", "manager", "Create"),
  ...rows("RaftMembership", "manager", "Join Leave"),
  ...rows("Debug", "manager", "InspectRaft"),
  ...rows(
    "Control",
    "manager",
    "GetCluster UpdateCluster GetUnlockKey ListNodes GetNode UpdateNode RemoveNode CreateService " +
      "GetService UpdateService RemoveService ListServices ListTasks GetTask CreateNetwork GetNetwork " +
      "UpdateNetwork RemoveNetwork ListNetworks ListNetworkUse CreateSecret GetSecret UpdateSecret " +
      "RemoveSecret ListSecrets CreateConfig GetConfig UpdateConfig RemoveConfig ListConfigs WatchEvents LeaveCluster",
  ),
]);

/**
 * Passes when the peer may call the method.
 * @throws {UnauthenticatedError} no valid certificate; {PermissionDeniedError} of another cluster,
 * of too low a role, or an RPC without a rule.
 */
export function authorize(path: string, peer: PeerIdentity | undefined, clusterId: string): void {
  const required = RPC_ROLES.get(path);
  if (required === undefined)
    throw new PermissionDeniedError(`${path} has no rule that says who may call it`);
  if (required === "anyone") return;
  if (peer === undefined) {
    throw new UnauthenticatedError(
      `${path} needs a certificate of this cluster: none, or no valid one, was shown`,
    );
  }
  if (peer.clusterId !== clusterId) {
    throw new PermissionDeniedError(
      `${path} needs a certificate of this cluster: node ${peer.nodeId} belongs to another one`,
    );
  }
  if (required === "manager" && peer.role !== "swarm-manager") {
    throw new PermissionDeniedError(`${path} is for managers: node ${peer.nodeId} has a worker certificate`);
  }
}
