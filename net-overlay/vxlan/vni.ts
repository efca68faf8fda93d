/**
 * VXLAN network identifiers and what the encapsulation costs.
 * Pure. Source: RFC 7348 sections 4 and 5.
 */

/** First identifier of an overlay: 4096 is the transit network's, lower ones are left to users. */
export const OVERLAY_VNI_MIN = 4_097;
/** The last but one of 24 bits: the last is the probes'. */
export const OVERLAY_VNI_MAX = 2 ** 24 - 2;
/** The tunnel that carries nothing but probes of paths between nodes. */
export const PROBE_VNI = 2 ** 24 - 1;

/** Bytes in front of the inner frame, with the inner Ethernet header: IPv4 50, IPv6 70. */
export function vxlanOverheadBytes(underlay: 4 | 6): number {
  return underlay === 4 ? 50 : 70;
}
