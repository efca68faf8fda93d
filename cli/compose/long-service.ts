/**
 * A service in long form, key by key. Pure. Keys that are not named here have one form alone.
 */
import {
  environment,
  type Form,
  fields,
  fileMode,
  isMap,
  items,
  listOf,
  listOrNamed,
  PORTS_MAX,
  path,
  type Raw,
  rawOf,
  strings,
  text,
  textMap,
} from "./long-form.js";
import { shellWords } from "./shell-words.js";
import { publishedPort, shortDevice, shortMount, shortPorts } from "./short-forms.js";
import { type Key, Marks } from "./sources.js";

const words: Form = (value, place) =>
  typeof value === "string" ? place.guarded(value, () => shellWords(value)) : strings(value, place);

const healthTest: Form = (value, place) =>
  typeof value === "string" ? ["CMD-SHELL", value] : strings(value, place);

const longHook = fields({ command: words, environment });
/** `command:` with nothing behind it runs nothing. */
const hook: Form = (value, place) => {
  const made = longHook(value, place);
  if (rawOf(made)["command"] === undefined) place.found("needs the key command");
  return made;
};

const longFileRef = fields({ uid: text, gid: text, mode: fileMode });
const fileRef: Form = (value, place) =>
  isMap(value) ? longFileRef(value, place) : { source: String(value) };

const longPort = fields({ published: (value, place) => place.guarded(value, () => publishedPort(value)) });

/** One entry may be several ports. */
const ports: Form = (value, place) => {
  const { isVersion3 } = place.with;
  const origin = place.origin(value);
  const marks = new Marks();
  const all: unknown[] = [];
  for (const [i, item] of listOf(value).entries()) {
    const at = place.at(i);
    const made = isMap(item)
      ? [longPort(item, at)]
      : listOf(at.guarded(item, () => shortPorts(String(item), { isVersion3 })));
    place.with.budget.portsLeft -= made.length;
    if (place.with.budget.portsLeft < 0) {
      at.found(`brings the file to more than ${PORTS_MAX} ports`);
      break;
    }
    const mark = origin.marks.get(i);
    for (const port of made) {
      if (mark !== undefined) marks.set(all.length, mark);
      all.push(port);
    }
  }
  return place.marked(all, { marks });
};

const longMount = fields({
  volume: fields({ labels: textMap }),
  tmpfs: fields({ mode: fileMode }),
});

const mount: Form = (value, place) => {
  const made = isMap(value) ? longMount(value, place) : place.guarded(value, () => shortMount(String(value)));
  const { type, source, target } = rawOf(made);
  if (isMap(made) && target === undefined) place.found("needs the key target");
  if (type !== "bind" || source === undefined) return made;
  return place.marked({ ...rawOf(made), source: place.absolute(String(source)) }, place.origin(made));
};

const device: Form = (value, place) =>
  isMap(value) ? fields({})(value, place) : place.guarded(value, () => shortDevice(String(value)));

const deviceRequest = fields({ options: textMap });

/** "name:address", "name=address" or {name: address} as "NAME:ADDRESS". */
const extraHosts: Form = (value, place) => {
  const entries = Array.isArray(value)
    ? value.map((item, i): [string, string, Key] => {
        const line = String(item);
        const at = line.search(/[:=]/);
        if (at <= 0) place.at(i).found(`must be NAME:ADDRESS, got ${JSON.stringify(line)}`);
        return [line.slice(0, at), line.slice(at + 1), i];
      })
    : Object.entries(rawOf(value)).flatMap(([name, addresses]) =>
        listOf(addresses).map((address): [string, string, Key] => [name, String(address), name]),
      );
  const origin = place.origin(value);
  const marks = new Marks();
  const lines = entries.map(([name, address, key], i) => {
    const mark = origin.marks.get(key);
    if (mark !== undefined) marks.set(i, mark);
    return `${name}:${address.replace(/^\[(.*)\]$/, "$1")}`;
  });
  return place.marked(lines, { marks });
};

const IS_REMOTE = /^(?:[a-z][a-z0-9+.-]*:\/\/|git@|github\.com\/|service:|target:)/i;

const contextPath: Form = (value, place) =>
  IS_REMOTE.test(String(value)) ? String(value) : place.absolute(String(value));

const longBuild = fields({
  context: contextPath,
  args: environment,
  ssh: environment,
  labels: textMap,
  additional_contexts: (value, place) => {
    const map = textMap(value, place) as Readonly<Record<string, string>>; // textMap makes one
    const entries = Object.entries(map).map(([key, each]) => [key, contextPath(each, place.at(key))]);
    return place.marked(Object.fromEntries(entries), place.origin(map));
  },
  extra_hosts: extraHosts,
  secrets: items(fileRef),
  no_cache_filter: strings,
});
const build: Form = (value, place) =>
  isMap(value) ? longBuild(value, place) : { context: contextPath(value, place) };

const AMOUNTS = fields({ devices: items(deviceRequest) });

const deploy = fields({
  labels: textMap,
  resources: fields({ limits: AMOUNTS, reservations: AMOUNTS }),
});

const develop = fields({
  watch: items(fields({ path, ignore: strings, include: strings, exec: hook })),
});

const envFile: Form = (value, place) =>
  isMap(value) ? fields({ path })(value, place) : { path: place.absolute(String(value)) };

const STARTED: Raw = { condition: "service_started" };

export const service: Form = fields({
  annotations: textMap,
  build,
  command: words,
  configs: items(fileRef),
  depends_on: listOrNamed(fields({}), STARTED),
  deploy,
  develop,
  devices: items(device),
  dns: strings,
  dns_search: strings,
  entrypoint: words,
  env_file: items(envFile),
  environment,
  expose: strings,
  extends: (value, place) =>
    isMap(value) ? fields({ file: path })(value, place) : { service: String(value) },
  extra_hosts: extraHosts,
  gpus: (value, place) => (Array.isArray(value) ? items(deviceRequest)(value, place) : [{ count: "all" }]),
  group_add: strings,
  healthcheck: fields({ test: healthTest }),
  label_file: items(path),
  labels: textMap,
  logging: fields({ options: textMap }),
  models: listOrNamed(fields({}), {}),
  networks: listOrNamed(fields({ driver_opts: textMap }), {}),
  ports,
  post_start: items(hook),
  pre_start: items(longHook),
  pre_stop: items(hook),
  secrets: items(fileRef),
  storage_opt: textMap,
  sysctls: textMap,
  tmpfs: strings,
  user: text,
  volumes: items(mount),
});
