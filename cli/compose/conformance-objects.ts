/**
 * Conformance of what stands at the top of a file, and of networks, volumes, secrets and configs.
 * Pure (data).
 */
import type { Table } from "./conformance.js";
import { each, to, under, warned } from "./conformance-parts.js";

const EXTERNAL = "it must be there, is neither made nor removed";

const named = (kind: string): Table => ({
  name: to(`Name; without it STACK_KEY`),
  external: to(`${kind}[].External: ${EXTERNAL}`),
  "external.name": to("the old way to say external and name"),
  labels: to("Labels, beside com.docker.stack.namespace"),
});

const TOP: Table = {
  version: to("3 to 3.13: Docker's meaning of keys, as told above; others mean nothing"),
  name: to("the stack's name, unless the command gives one"),
  include: to("the other files' parts are taken in"),
  "include[].path": to("the other files' parts are taken in"),
  "include[].env_file": to("variables of the included files"),
  "include[].project_directory": to("where their relative paths begin"),
};

const REST: Table = {
  networks: to("Networks: those that some service uses"),
  ...under("networks.*", {
    ...named("Networks"),
    driver: to("Driver: overlay; bridge is made one, with a warning, and others are refused by the manager"),
    driver_opts: to("Options: MTU, VXLAN identifier, encrypted; the manager refuses others"),
    internal: to("Internal"),
    attachable: to("Attachable"),
    enable_ipv4: to("EnableIPv4"),
    enable_ipv6: to("EnableIPv6"),
    ipam: to("IPAM"),
    "ipam.driver": to("IPAM.Driver: default; the manager refuses others"),
    "ipam.config": to("IPAM.Config"),
    "ipam.config[].subnet": to("IPAM.Config[].Subnet"),
    "ipam.config[].ip_range": to("IPAM.Config[].IPRange"),
    "ipam.config[].gateway": to("IPAM.Config[].Gateway"),
    "ipam.config[].aux_addresses": to("IPAM.Config[].AuxiliaryAddresses"),
    "ipam.options": warned("the cluster gives addresses itself, without options"),
  }),
  volumes: to("Container.Mounts of the services that use them: nodes make volumes when they need them"),
  ...under("volumes.*", {
    name: to("Container.Mounts[].Source; without it STACK_KEY"),
    driver: to("Container.Mounts[].VolumeOptions.DriverConfig.Name"),
    driver_opts: to("Container.Mounts[].VolumeOptions.DriverConfig.Options"),
    external: to("Container.Mounts[]: neither labels nor driver"),
    "external.name": to("the old way to say external and name"),
    labels: to("Container.Mounts[].VolumeOptions.Labels"),
    "x-cluster-spec": warned("it is for drivers of cluster volumes (CSI), which Skein has not"),
  }),
  secrets: to("Secrets"),
  ...under("secrets.*", {
    ...named("Secrets"),
    content: to("Data"),
    environment: to("Data"),
    file: to("Data"),
    driver: to("Driver.Name"),
    driver_opts: to("Driver.Options"),
    template_driver: to("Templating.Name"),
  }),
  configs: to("Configs"),
  ...under("configs.*", {
    ...named("Configs"),
    content: to("Data"),
    environment: to("Data"),
    file: to("Data"),
    template_driver: to("Templating.Name"),
  }),
  ...each(
    warned("models are not run here; a service that asks for one is refused"),
    "models",
    "models.*.name",
    "models.*.model",
    "models.*.context_size",
    "models.*.runtime_flags",
  ),
};

export const OBJECT_KEYS: { readonly top: Table; readonly rest: Table } = { top: TOP, rest: REST };
