/**
 * Every cause that programs may meet, with what it means. docs/vocabulary.md shows the same table; a test
 * compares.
 * Pure.
 */
export const CAUSE_MEANINGS = {
  // waiting, before there is a node
  allocation: "its addresses and ports are not given yet",
  "no-address": "a network of the task, or the cluster's pool, has no free address",
  "no-port": "no free port is left for publishing",
  "port-in-use": "another service publishes the port, or something else on the node holds it",
  "network-not-found": "a network of the service does not exist any more",
  "network-not-ready": "a network of the service has no subnet yet, and why",
  scheduling: "the scheduler has not looked at it yet",
  "no-suitable-node": "filters refuse every node: how many each, and why",
  // waiting, to start or to stop
  predecessor: "the task before it in the slot must have stopped",
  "restart-delay": "the restart delay, longer after failures in a row",
  drain: "its node is drained: it serves until its successor can, or the deadline",
  node: "its node may not have it any more, or is lost",
  "node-down": "its node is down",
  "node-disconnected": "its node's daemon was stopped, and has some seconds to return",
  // on its way
  assigned: "its node has not heard of it yet",
  preparing: "image, mounts, network and container are made",
  starting: "its process is started",
  "health-check": "its process runs; its first health check has not passed",
  running: "it runs",
  stopping: "it was told to stop",
  // ended
  finished: "it ended by itself with exit code 0",
  "exit-nonzero": "it ended by itself with another exit code",
  "exit-unknown": "it ended while nobody could learn how",
  oom: "the kernel killed it: out of memory",
  unhealthy: "its health check failed",
  "container-removed": "its container was removed by hand",
  "image-not-found": "the registry has no such image",
  "registry-unauthenticated": "the registry refused the credentials, or their lack",
  "registry-unavailable": "the registry could not be reached",
  "image-damaged": "what the registry sent does not match its digest",
  "disk-full": "the node's disk is full",
  "network-missing": "the node could not attach it to its networks",
  "mount-missing": "the source of a bind mount is not there on the node",
  "secret-missing": "a secret was not available on the node",
  "config-missing": "a config was not available on the node",
  "start-timeout": "it did not start in time",
  "hook-failed": "a command to be run after its start failed",
  "invalid-specification": "the node cannot carry out the specification",
  "runtime-error": "the container runtime failed, in its words",
  "node-lost": "its node was gone for too long, and the task was given up",
  // told to stop: first words of created_because and stopped_because, too
  create: "the service was created",
  scale: "the number of replicas changed",
  update: "the service was changed",
  rollback: "the service went back to the specification before",
  restart: "the task before it ended",
  repair: "the slot had none, or one too many",
  job: "an iteration of a job began",
  removed: "the service was removed",
  // no further task
  "attempts-used-up": "the restart policy allows no further attempt",
  // of a whole service
  removing: "the service was removed, and its tasks still stop",
  "update-paused": "an update or rollback was paused by failures",
  "no-replicas": "the service asks for no tasks",
  "no-node-takes-it": "a global service, and no node that it may run on",
  "no-quorum": "too few managers are within reach of each other to decide anything",
} as const;

export type CauseWord = keyof typeof CAUSE_MEANINGS;

/** A stored word as one of ours; what an older or newer version stored is a runtime error. */
export function causeWord(word: string, otherwise: CauseWord = "runtime-error"): CauseWord {
  return Object.hasOwn(CAUSE_MEANINGS, word) ? (word as CauseWord) : otherwise; // hasOwn has just said so
}
