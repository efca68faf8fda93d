/**
 * Examples of what concerns the swarm and its nodes. Pure (a table).
 */
import type { Lessons } from "./lessons.js";

export const CLUSTER_LESSONS: Lessons = {
  "swarm init": {
    examples: [
      ["skein swarm init"],
      ["skein swarm init --advertise-addr eth1", "the address of one interface, where a host has several"],
      [
        "skein swarm init --autolock --default-addr-pool 10.20.0.0/16",
        "managers that need a key after a restart",
      ],
    ],
    next: "Next: run the printed 'skein swarm join' on the other hosts, then look at them with 'skein node ls'.",
  },
  "swarm join": {
    examples: [
      ["skein swarm join --token SWMTKN-1-… 10.0.0.1:2377"],
      ["skein swarm join --token SWMTKN-1-… --label zone=a 10.0.0.1:2377", "with a label of the new node"],
    ],
    next: "Next: 'skein node ls' on a manager shows the node; 'skein net verify' there proves the paths between them.",
  },
  "swarm join-token": {
    examples: [
      ["skein swarm join-token worker", "the command that a new worker runs"],
      ["skein swarm join-token -q manager"],
      ["skein swarm join-token --rotate worker", "after a token was seen by others"],
    ],
  },
  "swarm leave": {
    examples: [["skein swarm leave"], ["skein swarm leave --force", "of a manager: read first what it says"]],
    next: "Next: 'skein node rm NAME' on a manager removes the node from its list.",
  },
  "swarm update": {
    examples: [
      ["skein swarm update --task-history-limit 2"],
      ["skein swarm update --autolock=false", "no key is needed any more after a restart"],
      ["skein swarm update --placement-strategy binpack --drain-deadline 2m"],
    ],
  },
  "swarm ca": {
    examples: [
      ["skein swarm ca > ca.pem", "the certificate all nodes trust"],
      ["skein swarm ca --rotate", "a new root; nodes change over while everything runs"],
      ["skein swarm ca --rotate --ca-cert ca.pem --ca-key ca-key.pem", "a root of your own"],
    ],
  },
  "swarm unlock": {
    examples: [["skein swarm unlock", "the key is asked for"], ["skein swarm unlock < key.txt"]],
  },
  "swarm unlock-key": {
    examples: [
      ["skein swarm unlock-key", "keep it in a password manager"],
      ["skein swarm unlock-key --rotate"],
      ["skein swarm unlock-key -q > key.txt"],
    ],
  },
  "swarm network-key": {
    examples: [
      ["skein swarm network-key"],
      ["skein swarm network-key --rotate", "new keys of encrypted networks, at once"],
    ],
  },
  "swarm backup": {
    examples: [
      ["skein swarm backup swarm.backup"],
      ["skein swarm backup --passphrase-file pass.txt - | ssh archive 'cat > swarm.backup'"],
    ],
    next: "Next: keep the key apart from the backup; 'skein swarm restore' takes both.",
  },
  "swarm restore": {
    examples: [
      ["skein swarm restore swarm.backup"],
      ["skein swarm restore --advertise-addr 10.0.0.9 swarm.backup"],
    ],
    next: "Next: have the other hosts join again: 'skein swarm join-token worker'.",
  },
  "node ls": {
    examples: [
      ["skein node ls"],
      ["skein node ls --filter role=manager --format '{{.Hostname}} {{.ManagerStatus}}'"],
      ["skein node ls --filter node.label=zone=a -q"],
    ],
    next: "'skein node inspect --pretty NAME' says more about one; 'skein node ps NAME' shows what runs there.",
  },
  "node inspect": {
    examples: [
      ["skein node inspect --pretty self"],
      ["skein node inspect --format '{{.Status.Addr}}' host1 host2"],
      ["skein node inspect -f '{{range $k, $v := .Spec.Labels}}{{$k}}={{$v}} {{end}}' host1"],
    ],
  },
  "node ps": {
    examples: [["skein node ps"], ["skein node ps --filter desired-state=running host1 host2"]],
  },
  "node update": {
    examples: [
      ["skein node update --availability drain host2", "its tasks move, successors first"],
      ["skein node update --availability active host2"],
      ["skein node update --label-add zone=a --label-rm old host2"],
    ],
    next: "Before a drain, 'skein plan drain host2' says where its tasks would go. 'skein node ps host2' follows it.",
  },
  "node promote": {
    examples: [["skein node promote host2 host3"]],
    next: "Three or five managers are usual: an odd number, so that a majority is left when one fails.",
  },
  "node demote": { examples: [["skein node demote host3"]] },
  "node rm": {
    examples: [["skein node rm host4"], ["skein node rm --force host4", "a node that will not come back"]],
  },
  "plan service create": {
    examples: [["skein plan service create --replicas 12 --reserve-memory 2g nginx"]],
    next: "The same flags behind 'skein service create' do it.",
  },
  "plan service update": {
    examples: [
      ["skein plan service update --image nginx:2 web"],
      ["skein plan service update --format json --force web"],
    ],
  },
  "plan service rollback": { examples: [["skein plan service rollback web"]] },
  "plan service rm": { examples: [["skein plan service rm web"]] },
  "plan scale": { examples: [["skein plan scale web=20 db=3"]] },
  "plan drain": {
    examples: [["skein plan drain host2"]],
    next: "'skein node update --availability drain host2' does it.",
  },
  "plan loss": {
    examples: [
      ["skein plan loss host2"],
      ["skein plan loss --any", "would everything run without any one node?"],
    ],
  },
};
