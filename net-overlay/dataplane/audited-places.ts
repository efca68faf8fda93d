/**
 * The namespaces of a node that are audited: the host's, one per network, one per task. Pure over its parts.
 * Invariant: what a place wants is asked of the part that made it, at the moment it is asked.
 * Source: docs/design/network-audit.md.
 */
import type { WantedFacts } from "../audit/facts.js";
import { HOST_PLACE } from "../audit/kernel-audit.js";
import type { AuditedPlace } from "../audit/linux-kernel-audit.js";
import { GATEWAY_LINK_PREFIX } from "../balance/mesh-frame.js";
import type { MeshPlan } from "../endpoints/mesh-plan.js";
import type { Sandbox } from "../endpoints/sandbox.js";
import { overlayAddresses } from "../endpoints/sandbox.js";
import { taskMac } from "../vxlan/node-addresses.js";
import type { MeshFactsOptions } from "./mesh-facts.js";
import type { OverlayFactsOptions } from "./overlay-facts.js";
import { sandboxFacts } from "./sandbox-facts.js";

/** A part of the data plane that says what it wants, and can forget what it knows of the kernel. */
interface Audited<Ends> {
  wanted(ends: Ends): WantedFacts | undefined;
  forget(): void;
}

type AuditedOverlay = Audited<OverlayFactsOptions["ends"]> & { readonly subnets: readonly string[] };

type AuditedMesh = Audited<MeshFactsOptions["ends"]> & {
  /** Lets our packets through others' filters. */
  openForwarding(): void;
};

export interface AuditedPlacesOptions {
  /** undefined: the mesh is another's. */
  readonly mesh: AuditedMesh | undefined;
  readonly hostNetns: string | undefined;
  /** Undefined: not set up. */
  readonly plan: MeshPlan | undefined;
  /** By network id. */
  readonly overlays: ReadonlyMap<string, AuditedOverlay>;
  readonly overlayPath: (networkId: string) => string;
  readonly sandboxes: readonly Sandbox[];
  readonly sandboxPath: (taskId: string) => string;
  /** Makes interfaces that are missing in a sandbox of our own. */
  readonly rewire: (sandbox: Sandbox) => void;
  /** Of a host end. */
  readonly linkName: (prefix: string, taskId: string) => string;
}

export function auditedPlaces(options: AuditedPlacesOptions): AuditedPlace[] {
  const { mesh, overlays, sandboxes, plan, rewire } = options;
  const host: AuditedPlace = {
    name: HOST_PLACE,
    netnsPath: options.hostNetns,
    isHeard: true,
    prepare: () => mesh?.openForwarding(),
    wanted: () => mesh?.wanted(gatewayEnds(options)),
    remake: () => {
      mesh?.forget();
      sandboxes.forEach(rewire);
    },
  };
  const networks = [...overlays].map(
    ([networkId, overlay]): AuditedPlace => ({
      name: `network ${networkId}`,
      netnsPath: options.overlayPath(networkId),
      isHeard: true,
      wanted: () => overlay.wanted(overlayEnds(options, networkId)),
      remake: () => {
        overlay.forget();
        sandboxes.forEach(rewire);
      },
    }),
  );
  // a container's attachment leads into a namespace of somebody else
  const tasks = sandboxes
    .filter(({ plug }) => plug === undefined)
    .map(
      (sandbox): AuditedPlace => ({
        name: `task ${sandbox.taskId}`,
        netnsPath: options.sandboxPath(sandbox.taskId),
        isHeard: false,
        wanted: () =>
          sandboxFacts(sandbox, {
            mesh: plan,
            subnetsOf: (networkId) => overlays.get(networkId)?.subnets ?? [],
          }),
        remake: () => rewire(sandbox),
      }),
    );
  return [host, ...networks, ...tasks];
}

function gatewayEnds({ sandboxes, linkName }: AuditedPlacesOptions): MeshFactsOptions["ends"] {
  return sandboxes.flatMap(({ taskId, gatewayAddress: address }) =>
    address === undefined ? [] : [{ hostName: linkName(GATEWAY_LINK_PREFIX, taskId), address }],
  );
}

function overlayEnds(
  { sandboxes, linkName }: AuditedPlacesOptions,
  networkId: string,
): OverlayFactsOptions["ends"] {
  return sandboxes.flatMap(({ taskId, overlays, plug }) =>
    overlays
      .filter((overlay) => overlay.networkId === networkId)
      .map((overlay) => ({
        hostName: linkName("v", taskId),
        addresses: overlayAddresses(overlay),
        mac: overlay.mac ?? (plug?.mac || taskMac(overlayAddresses(overlay)[0] ?? "")),
      })),
  );
}
