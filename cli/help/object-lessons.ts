/**
 * Examples of services, networks, secrets and configs. Pure (a table).
 */
import type { Lessons } from "./lessons.js";

export const OBJECT_LESSONS: Lessons = {
  "service create": {
    examples: [
      ["skein service create --name web --replicas 3 -p 8080:80 nginx"],
      [
        "skein service create --name db --mount type=volume,source=data,target=/var/lib/mysql " +
          "--secret db-password --constraint node.labels.disk==ssd mariadb",
        "data that stays, a password as a file, and a place",
      ],
      ["skein service create --mode global --name agent --mount type=bind,source=/proc,target=/host agent"],
      ["skein service create --mode replicated-job --replicas 10 --max-concurrent 2 --name import importer"],
    ],
    next:
      "Next: 'skein service ps NAME' shows where its tasks run, 'skein service logs -f NAME' what they write, and " +
      "'skein service why NAME' why one does not run. 'skein plan service create' with the same flags shows first " +
      "whether it fits.",
  },
  "service update": {
    examples: [
      ["skein service update --image nginx:1.27 web"],
      ["skein service update --env-add LEVEL=debug --env-rm OLD web"],
      ["skein service update --publish-add 443:443 --publish-rm 80 web"],
      ["skein service update --update-order start-first --update-failure-action rollback --force web"],
    ],
    next: "Next: 'skein service rollback NAME' takes it back. 'skein plan service update' shows first what restarts.",
  },
  "service ls": {
    examples: [
      ["skein service ls"],
      ["skein service ls --filter mode=global --filter label=team=shop"],
      ["skein service ls --format 'table {{.Name}}\\t{{.Replicas}}\\t{{.Image}}'"],
    ],
  },
  "service ps": {
    examples: [
      ["skein service ps web"],
      ["skein service ps --filter desired-state=running --no-trunc web db"],
      ["skein service ps --format '{{.Name}} {{.Node}} {{.CurrentState}}' web"],
    ],
    next: "'skein service why NAME' explains tasks that wait or fail.",
  },
  "service inspect": {
    examples: [
      ["skein service inspect --pretty web"],
      ["skein service inspect -f '{{json .Spec.TaskTemplate.ContainerSpec.Env}}' web"],
      ["skein service inspect -f '{{range .Endpoint.Ports}}{{.PublishedPort}}->{{.TargetPort}} {{end}}' web"],
    ],
  },
  "service logs": {
    examples: [
      ["skein service logs -f --tail 100 web"],
      ["skein service logs --since 10m --timestamps web"],
      ["skein service logs --raw web > web.log"],
    ],
  },
  "service why": { examples: [["skein service why web"], ["skein service why --format json web"]] },
  "service scale": {
    examples: [["skein service scale web=5"], ["skein service scale --detach web=5 api=3"]],
    next: "'skein plan scale web=5' shows first whether there is room.",
  },
  "service rollback": { examples: [["skein service rollback web"]] },
  "service rm": {
    examples: [["skein service rm web db"]],
    next: "Volumes, secrets and networks of the service stay: they are removed by commands of their own.",
  },
  "secret create": {
    examples: [
      ["skein secret create db-password password.txt"],
      ["openssl rand -base64 32 | skein secret create session-key -"],
      [
        "skein secret create --driver vault,path=secret/db --label team=shop db-password",
        "a plugin keeps the data",
      ],
    ],
    next: "Next: 'skein service create --secret db-password …' places it at /run/secrets/db-password.",
  },
  "secret update": {
    examples: [
      ["skein secret update db-password new.txt"],
      ["skein secret update --label-add team=shop db-password"],
    ],
  },
  "secret ls": { examples: [["skein secret ls"], ["skein secret ls --filter label=team=shop -q"]] },
  "secret inspect": {
    examples: [
      ["skein secret inspect --pretty db-password"],
      ["skein secret inspect -f '{{.DataVersion}}' db-password"],
    ],
  },
  "secret rm": { examples: [["skein secret rm db-password"]] },
  "config create": {
    examples: [
      ["skein config create nginx.conf ./nginx.conf"],
      [
        "skein config create --template-driver golang app.env app.env",
        "with {{.Node.Hostname}} and the like filled in",
      ],
    ],
    next: "Next: 'skein service create --config source=nginx.conf,target=/etc/nginx/nginx.conf …' uses it.",
  },
  "config update": {
    examples: [["skein config update nginx.conf ./nginx.conf", "the services that use it are updated to it"]],
  },
  "config ls": { examples: [["skein config ls --format '{{.Name}} {{.Version}}'"]] },
  "config inspect": { examples: [["skein config inspect --pretty nginx.conf"]] },
  "config rm": { examples: [["skein config rm nginx.conf"]] },
  "network create": {
    examples: [
      ["skein network create front"],
      ["skein network create --subnet 10.20.0.0/24 --gateway 10.20.0.1 --opt encrypted back"],
      ["skein network create --attachable --internal tools", "plain containers may join; no way out"],
    ],
    next: "Next: 'skein service create --network front …'.",
  },
  "network update": {
    examples: [
      ["skein network update front --subnet-add 10.20.0.0/24"],
      ["skein network update front --subnet-add 10.21.0.0/16 --ip-range 10.21.4.0/22 --gateway 10.21.0.254"],
      ["skein network update front --label-add team=shop --label-rm draft"],
    ],
    next: "Tasks that run are not touched; those that waited for an address start. No subnet can be taken away.",
  },
  "network ls": {
    examples: [["skein network ls"], ["skein network ls --filter driver=overlay --format '{{.Name}}'"]],
  },
  "network inspect": {
    examples: [
      ["skein network inspect --verbose front", "with services and tasks of the whole swarm"],
      ["skein network inspect -f '{{range .IPAM.Config}}{{.Subnet}} {{end}}' front"],
    ],
  },
  "network connect": {
    examples: [
      ["skein network connect tools shell"],
      ["skein network connect --alias db --ip 10.20.0.9 back shell"],
    ],
  },
  "network disconnect": { examples: [["skein network disconnect tools shell"]] },
  "network prune": {
    examples: [["skein network prune"], ["skein network prune --force --filter until=24h"]],
  },
  "network rm": { examples: [["skein network rm front back"]] },
};
