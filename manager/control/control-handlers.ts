/**
 * The control API as a gRPC service: each method is one line that names who answers it.
 * Edge: to @grpc/grpc-js. Who may call, and forwarding to the leader, are decided in front of these handlers.
 */
import { peerOf } from "../../base/grpc/peer-identity.js";
import type { ControlServer } from "../../proto/gen/skein/v1/control.js";
import { ClusterControl } from "./cluster.js";
import { ConfigControl } from "./configs.js";
import type { ControlComponents } from "./control-components.js";
import { EventHistory } from "./event-history.js";
import { unary } from "./grpc-unary.js";
import { streamEvents } from "./grpc-watch-events.js";
import { leaveCluster } from "./leave-cluster.js";
import { NetworkControl } from "./networks.js";
import { NodeControl } from "./nodes.js";
import { SecretControl } from "./secrets.js";
import { ServiceControl } from "./services.js";
import { TaskControl } from "./tasks.js";

export function createControlHandlers(components: ControlComponents): ControlServer {
  const cluster = new ClusterControl(components);
  const nodes = new NodeControl(components);
  const services = new ServiceControl(components);
  const tasks = new TaskControl(components);
  const networks = new NetworkControl(components);
  const secrets = new SecretControl(components);
  const configs = new ConfigControl(components);
  const { store, clock, log } = components;
  const events = components.events ?? new EventHistory({ store, nowMs: () => clock.nowMs(), log });
  const empty = async (done: Promise<void>): Promise<object> => {
    await done;
    return {};
  };
  return {
    getCluster: unary(() => cluster.get()),
    updateCluster: unary((request) => cluster.update(request)),
    getUnlockKey: unary(() => cluster.unlockKey()),
    listNodes: unary((request) => nodes.list(request)),
    getNode: unary((request) => nodes.get(request)),
    updateNode: unary((request) => nodes.update(request)),
    removeNode: unary((request) => empty(nodes.remove(request))),
    createService: unary((request) => services.create(request)),
    getService: unary((request) => services.get(request)),
    updateService: unary((request) => services.update(request)),
    removeService: unary((request) => empty(services.remove(request))),
    listServices: unary((request) => services.list(request)),
    listTasks: unary((request) => tasks.list(request)),
    getTask: unary((request) => tasks.get(request)),
    createNetwork: unary((request) => networks.create(request)),
    getNetwork: unary((request) => networks.get(request)),
    updateNetwork: unary((request) => networks.update(request)),
    listNetworkUse: unary(() => networks.use()),
    removeNetwork: unary((request) => empty(networks.remove(request))),
    listNetworks: unary((request) => networks.list(request)),
    createSecret: unary((request) => secrets.create(request)),
    getSecret: unary((request) => secrets.get(request)),
    updateSecret: unary((request) => secrets.update(request)),
    removeSecret: unary((request) => empty(secrets.remove(request))),
    listSecrets: unary((request) => secrets.list(request)),
    createConfig: unary((request) => configs.create(request)),
    getConfig: unary((request) => configs.get(request)),
    updateConfig: unary((request) => configs.update(request)),
    removeConfig: unary((request) => empty(configs.remove(request))),
    listConfigs: unary((request) => configs.list(request)),
    watchEvents: (call) => streamEvents(events, log, call),
    leaveCluster: unary((request, call) => empty(leaveCluster(components, request, peerOf(call)))),
  };
}
