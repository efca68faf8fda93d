/**
 * Examples of what concerns one node, or this command line. Pure (a table).
 */
import type { Lessons } from "./lessons.js";

export const NODE_LESSONS: Lessons = {
  images: { examples: [["skein images"], ["skein images --filter dangling=true -q"]] },
  pull: { examples: [["skein pull nginx:1.27"]] },
  load: { examples: [["skein load -i images.tar"], ["docker save web | skein load"]] },
  import: { examples: [["skein import -c 'CMD [\"/bin/sh\"]' rootfs.tar base:1"]] },
  tag: { examples: [["skein tag web:latest registry.example/web:1"]] },
  rmi: { examples: [["skein rmi web:old"]] },
  ps: { examples: [["skein ps -a"], ["skein ps --filter is-task=true --format '{{.Names}} {{.Status}}'"]] },
  logs: { examples: [["skein logs -f --tail 50 web.1"]] },
  events: {
    examples: [
      ["skein events --filter type=service"],
      ["skein events --since 10m --until 0s --format json", "what happened, and then end"],
    ],
  },
  info: { examples: [["skein info"], ["skein info -f '{{.Swarm.LocalNodeState}}'"]] },
  version: { examples: [["skein version"], ["skein version -f '{{.Server.Version}}'"]] },
  "debug raft": {
    examples: [["skein debug raft --live"], ["skein debug raft --data-dir /var/lib/skein --entries 20"]],
  },
  "system dial-stdio": {
    examples: [["ssh host1 skein system dial-stdio"]],
    next: "Nobody types it: an ssh:// host runs it on the far side.",
  },
  "context create": {
    examples: [
      ["skein context create prod --host ssh://root@host1"],
      ["skein context create prod --host tcp://host1:2376 --ca ca.pem --cert cert.pem --key key.pem --check"],
      ["skein context create mine --from dockers", "a copy of a context of docker's"],
    ],
    next: "Next: 'skein context use prod', or --context prod with one command.",
  },
  "context ls": {
    examples: [["skein context ls"], ["skein context ls --format '{{.Name}} {{.DockerEndpoint}}'"]],
  },
  "context use": { examples: [["skein context use prod"], ["skein context use default", "this host again"]] },
  "context show": { examples: [["skein context show"]] },
  "context inspect": { examples: [["skein context inspect -f '{{.Endpoints.docker.Host}}' prod"]] },
  "context update": {
    examples: [["skein context update --description 'the shop' --host ssh://root@host2 prod"]],
  },
  "context rm": { examples: [["skein context rm prod"]] },
  "context export": {
    examples: [["skein context export prod prod.dockercontext"]],
    next: "The archive holds the context's key: 'skein context import' or 'docker context import' takes it elsewhere.",
  },
  "context import": { examples: [["skein context import prod prod.dockercontext"]] },
  completion: {
    examples: [
      ["source <(skein completion bash)", "in ~/.bashrc: for this and every later shell"],
      ["skein completion bash > /etc/bash_completion.d/skein", "for everybody"],
      ["skein completion zsh > ~/.zfunc/_skein"],
      ["skein completion fish > ~/.config/fish/completions/skein.fish"],
    ],
  },
  man: {
    examples: [["skein man /usr/local/share/man/man1"]],
    next: "Next: 'man skein', 'man skein-service-create'.",
  },
};
