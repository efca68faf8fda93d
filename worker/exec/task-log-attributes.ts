/**
 * What a task's log options take from it into its log, for those who ask for details. Pure.
 * Variables are told as the service has them: a template is not filled in.
 */
import type { Task } from "../../proto/gen/skein/v1/objects.js";
import { logAttributes } from "../containers/logdrivers/log-attributes.js";
import { taskLabels } from "./task-names.js";

export function taskLogAttributes(task: Task): Readonly<Record<string, string>> {
  const { env = [] } = task.spec?.container ?? {};
  const { options = {} } = task.spec?.logDriver ?? {};
  return logAttributes({ labels: taskLabels(task), env, log: { options } });
}
