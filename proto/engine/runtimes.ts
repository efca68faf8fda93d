/**
 * OCI runtimes that a container or task may ask for by name. Pure. The third is what Docker calls its own.
 */
export const RUNTIME_NAMES = ["crun", "runc", "io.containerd.runc.v2"] as const;

export type RuntimeName = (typeof RUNTIME_NAMES)[number];
