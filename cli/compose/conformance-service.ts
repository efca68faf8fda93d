/**
 * Conformance of a service's keys: what it runs, what it is called, with whom it talks, what it stores.
 * Pure (data).
 */
import type { Table } from "./conformance.js";
import { each, modern, refused, to, under, warned } from "./conformance-parts.js";

const file = (kind: "Secrets" | "Configs"): Table => ({
  "": to(`Container.${kind}`),
  "[].source": to(`Container.${kind}[].${kind.slice(0, -1)}Name`),
  "[].target": to(`Container.${kind}[].File.Name`),
  "[].uid": to(`Container.${kind}[].File.UID`),
  "[].gid": to(`Container.${kind}[].File.GID`),
  "[].mode": to(`Container.${kind}[].File.Mode`),
});

const hook = (name: string): Table => ({
  "": to(`Host.${name}`),
  "[].command": to(`Host.${name}[].Command`),
  "[].user": to(`Host.${name}[].User`),
  "[].privileged": to(`Host.${name}[].Privileged`),
  "[].working_dir": to(`Host.${name}[].WorkingDir`),
  "[].environment": to(`Host.${name}[].Env`),
});

const VOLUMES: Table = {
  "": to("Container.Mounts"),
  "[].type": to("Container.Mounts[].Type; nodes have no cluster and npipe: the manager refuses those"),
  "[].source": to("Container.Mounts[].Source"),
  "[].target": to("Container.Mounts[].Target"),
  "[].read_only": to("Container.Mounts[].ReadOnly"),
  "[].consistency": to("Container.Mounts[].Consistency: mounts of Linux keep what all of its words promise"),
  "[].bind": to("Container.Mounts[].BindOptions"),
  "[].bind.propagation": to("Container.Mounts[].BindOptions.Propagation"),
  "[].bind.create_host_path": to(
    "Container.Mounts[].BindOptions.CreateMountpoint; with a version only if it is true, else unless it is false",
  ),
  "[].bind.recursive": to(
    "Container.Mounts[].BindOptions: NonRecursive, ReadOnlyNonRecursive, ReadOnlyForceRecursive",
  ),
  "[].bind.selinux": warned("SELinux labels are not set: the node's policy counts"),
  "[].volume": to("Container.Mounts[].VolumeOptions"),
  "[].volume.labels": to("Container.Mounts[].VolumeOptions.Labels"),
  "[].volume.nocopy": to("Container.Mounts[].VolumeOptions.NoCopy"),
  "[].volume.subpath": to("Container.Mounts[].VolumeOptions.Subpath"),
  "[].tmpfs": to("Container.Mounts[].TmpfsOptions"),
  "[].tmpfs.size": to("Container.Mounts[].TmpfsOptions.SizeBytes"),
  "[].tmpfs.mode": to("Container.Mounts[].TmpfsOptions.Mode"),
  "[].image": to("Container.Mounts[].ImageOptions"),
  "[].image.subpath": to("Container.Mounts[].ImageOptions.Subpath"),
};

const PORTS: Table = {
  "": to("Service.EndpointSpec.Ports"),
  "[].name": to("Service.EndpointSpec.Ports[].Name"),
  "[].mode": to("Service.EndpointSpec.Ports[].PublishMode"),
  "[].host_ip": modern("Service.EndpointSpec.Ports[].HostAddresses: open there alone, on every node"),
  "[].target": to("Service.EndpointSpec.Ports[].TargetPort"),
  "[].published": to("Service.EndpointSpec.Ports[].PublishedPort; a range for one target is refused"),
  "[].protocol": to("Service.EndpointSpec.Ports[].Protocol"),
  "[].app_protocol": warned("connections are passed on whatever they carry"),
};

const NETWORKS: Table = {
  "": to("Task.Networks; without any: the network default"),
  "*.aliases": to("Task.Networks[].Aliases, beside the service's own name"),
  "*.interface_name": warned("interfaces are eth0, eth1 … in the order of the networks"),
  "*.ipv4_address": modern("Task.Networks[].Addresses; refused with more than one task"),
  "*.ipv6_address": modern("Task.Networks[].Addresses; refused with more than one task"),
  "*.link_local_ips": refused("the cluster's networks have no link-local addresses to choose"),
  "*.mac_address": to("Host.MacAddress: of the first network alone, and such a network comes first"),
  "*.driver_opts": warned("kept and shown: the cluster's networks have no options for one of their services"),
  "*.priority": to("order of Task.Networks, the highest first"),
  "*.gw_priority": warned("the way out of the cluster is the node's, whatever the networks"),
};

export const SERVICE_KEYS: Table = {
  services: to("Services, in the file's order"),
  ...under("services.*", {
    image: to("Container.Image; label com.docker.stack.image"),
    command: to("Container.Args"),
    entrypoint: to("Container.Command"),
    environment: to("Container.Env"),
    env_file: to("read into environment"),
    "env_file[].path": to("read into environment"),
    "env_file[].format": to("how the file is read: raw takes values as they are"),
    "env_file[].required": to("false: a file that is not there is no fault"),
    working_dir: to("Container.Dir"),
    user: to("Container.User"),
    group_add: to("Container.Groups"),
    hostname: to("Container.Hostname"),
    labels: to("Container.Labels"),
    label_file: to("read into labels"),
    annotations: to("Host.Annotations"),
    tty: to("Container.TTY"),
    stdin_open: to("Container.OpenStdin"),
    stop_signal: to("Container.StopSignal"),
    stop_grace_period: to("Container.StopGracePeriod"),
    healthcheck: to("Container.Healthcheck"),
    "healthcheck.test": to("Container.Healthcheck.Test"),
    "healthcheck.interval": to("Container.Healthcheck.Interval"),
    "healthcheck.timeout": to("Container.Healthcheck.Timeout"),
    "healthcheck.retries": to("Container.Healthcheck.Retries"),
    "healthcheck.start_period": to("Container.Healthcheck.StartPeriod"),
    "healthcheck.start_interval": to("Container.Healthcheck.StartInterval"),
    "healthcheck.disable": to("Container.Healthcheck.Test is NONE"),
    dns: to("Container.DNSConfig.Nameservers"),
    dns_search: to("Container.DNSConfig.Search"),
    dns_opt: to("Container.DNSConfig.Options"),
    extra_hosts: to("Container.Hosts"),
    logging: to("Task.LogDriver"),
    "logging.driver": to("Task.LogDriver.Name: json-file, local or none; a node refuses others"),
    "logging.options": to("Task.LogDriver.Options"),
    ...under("networks", NETWORKS),
    network_mode: modern(
      "Task.Networks: host or none; bridge is the stack's own network, with a warning; others are refused",
    ),
    ...under("ports", PORTS),
    expose: warned("services on one network reach each other at any port"),
    links: modern(
      "order as with depends_on; NAME:ALIAS is one more alias of NAME on the networks both are on",
    ),
    external_links: warned(
      "a task reaches containers of its networks alone: make an attachable network for both",
    ),
    ...under("volumes", VOLUMES),
    volumes_from: refused("tasks of two services may run on two nodes: name a volume in both"),
    tmpfs: to("Host.Tmpfs"),
    ...under("secrets", file("Secrets")),
    ...under("configs", file("Configs")),
    depends_on: to("DependsOn: the order in which a deployment applies services"),
    "depends_on.*.condition": to(
      "DependsOn[].Condition; a service whose end is awaited becomes a job, unless it has a mode",
    ),
    "depends_on.*.restart": to("DependsOn[].Restart"),
    "depends_on.*.required": to("DependsOn[].Required"),
    restart: to("Task.RestartPolicy, unless deploy.restart_policy is there"),
    scale: to("Service.Mode.Replicated.Replicas"),
    profiles: to("services whose profile is not active are left out"),
    extends: to("the other service's keys are merged in"),
    "extends.service": to("the other service's keys are merged in"),
    "extends.file": to("the other service's keys are merged in"),
    pull_policy: to("Host.PullPolicy; build needs --build"),
    pull_refresh_after: to("Host.PullPolicy, with pull_policy refresh"),
    platform: to("Task.Placement.Platforms"),
    ...under("post_start", hook("PostStart")),
    ...under("pre_stop", hook("PreStop")),
    use_api_socket: to("Host.UseApiSocket: the node's socket at /run/skein/skein.sock"),
    container_name: warned("tasks are SERVICE.SLOT.ID: one name for several containers cannot be"),
    attach: warned("a stack runs in the background: look with service logs"),
    isolation: warned("nodes run Linux, which has one way of isolation"),
    ...each(
      warned("credentials of that kind are for Windows containers, and nodes run Linux"),
      "credential_spec",
      "credential_spec.config",
      "credential_spec.file",
      "credential_spec.registry",
    ),
    ...each(
      refused("a provider runs on the machine of whoever deploys: nobody would run it for the cluster"),
      "provider",
      "provider.type",
      "provider.options",
    ),
    ...under("pre_start", {
      "": to("jobs SERVICE-pre-start-N, whose completion the service waits for"),
      "[].command": to("Container.Args of the job"),
      "[].image": to("Container.Image of the job; without it the service's"),
      "[].user": to("Container.User of the job"),
      "[].privileged": to("Host.Privileged of the job"),
      "[].working_dir": to("Container.Dir of the job"),
      "[].environment": to("Container.Env of the job, beside the service's"),
      "[].per_replica": refused(
        "tasks have no containers before their own: a step runs once for the service",
      ),
    }),
    ...each(
      refused("models are not run here: run the model's server as a service, and name it in the environment"),
      "models",
      "models.*.endpoint_var",
      "models.*.model_var",
    ),
  }),
};
