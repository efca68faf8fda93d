/**
 * The engine's settings as without any flag, for tests of the HTTP surface. Pure.
 */
import type { EngineSettings } from "../proto/engine/settings.js";

export const PLAIN_SETTINGS: EngineSettings = {
  debug: false,
  labels: [],
  insecureRegistries: [],
  registryMirrors: [],
  maxConcurrentDownloads: 3,
  maxConcurrentUploads: 5,
  proxies: { http: "", https: "", no: "" },
  nodeGenericResources: [],
  swarmDefaultAdvertiseAddr: "",
  container: {
    logDriver: "json-file",
    logOptions: {},
    init: false,
    ulimits: [],
    shmSizeBytes: 64 * 2 ** 20,
    ipcMode: "private",
    cgroupnsMode: "",
    noNewPrivileges: false,
    runtime: "",
    dns: [],
    dnsSearch: [],
    dnsOptions: [],
    seccompProfile: "",
  },
  network: {
    addressPools: [],
    bridgeAddress: "",
    fixedCidr: "",
    mtu: 1500,
    interContainer: true,
    masquerade: true,
    hostAddress: "",
    hostGateway: "",
  },
};
