/**
 * `pre_start` of a service as jobs that it waits for. Pure.
 * A step runs once for the service, in a container of its own on the service's networks and volumes; a job
 * does that, and one that did not change does not run again. Steps run in their order.
 * Source: Compose Specification, pre_start.
 */
import type { ComposeDoc, DependencyDoc, PreStartDoc, ServiceDoc } from "./model.js";

const COMPLETED: DependencyDoc = { condition: "service_completed_successfully" };

export const stepKey = (service: string, index: number): string => `${service}-pre-start-${index + 1}`;

/** @param imageOf of a service, also of one that is built. */
export function withPreStart(project: ComposeDoc, imageOf: (key: string) => string | undefined): ComposeDoc {
  const entries = Object.entries(project.services).flatMap(([key, service]): [string, ServiceDoc][] => {
    const { pre_start: steps = [], ...rest } = service;
    const last = stepKey(key, steps.length - 1);
    if (steps.length === 0) return [[key, service]];
    return [
      ...steps.map((step, i): [string, ServiceDoc] => [
        stepKey(key, i),
        stepService(service, step, {
          image: step.image ?? imageOf(key),
          before: i === 0 ? {} : { [stepKey(key, i - 1)]: COMPLETED },
        }),
      ]),
      [key, { ...rest, depends_on: { ...rest.depends_on, [last]: COMPLETED } }],
    ];
  });
  return { ...project, services: Object.fromEntries(entries) };
}

/** Of the service, what a container of its own does not take over. */
const LEFT_OUT = [
  ...["pre_start", "post_start", "pre_stop", "ports", "healthcheck", "build", "scale", "restart"],
  ...["hostname", "mac_address", "links", "deploy", "networks", "image", "command"],
] as const satisfies readonly (keyof ServiceDoc)[];

function stepService(
  service: ServiceDoc,
  step: PreStartDoc,
  {
    image,
    before,
  }: { readonly image: string | undefined; readonly before: Readonly<Record<string, DependencyDoc>> },
): ServiceDoc {
  const kept: ServiceDoc = Object.fromEntries(
    Object.entries(service).filter(([key]) => !LEFT_OUT.some((other) => other === key)),
  );
  const { entrypoint, user, ...others } = kept;
  const { placement, resources } = service.deploy ?? {};
  return {
    ...others,
    ...(image === undefined ? {} : { image }),
    // another image has its own
    ...(step.image !== undefined || entrypoint === undefined ? {} : { entrypoint }),
    ...(step.image !== undefined || user === undefined ? {} : { user }),
    ...(step.command === undefined ? {} : { command: step.command }),
    ...(step.user === undefined ? {} : { user: step.user }),
    ...(step.privileged === undefined ? {} : { privileged: step.privileged }),
    ...(step.working_dir === undefined ? {} : { working_dir: step.working_dir }),
    environment: { ...service.environment, ...step.environment },
    ...(service.networks === undefined ? {} : { networks: networksOf(service.networks) }),
    depends_on: { ...service.depends_on, ...before },
    deploy: {
      mode: "replicated-job",
      replicas: 1,
      restart_policy: { condition: "none" },
      ...(placement === undefined ? {} : { placement }),
      ...(resources === undefined ? {} : { resources }),
    },
  };
}

/** The same networks, without the service's names and addresses. */
function networksOf(networks: NonNullable<ServiceDoc["networks"]>): NonNullable<ServiceDoc["networks"]> {
  return Object.fromEntries(
    Object.entries(networks).map(([key, { priority, driver_opts: options }]) => [
      key,
      {
        ...(priority === undefined ? {} : { priority }),
        ...(options === undefined ? {} : { driver_opts: options }),
      },
    ]),
  );
}
