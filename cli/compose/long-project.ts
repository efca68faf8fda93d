/**
 * One checked compose file in long form, with absolute paths and every key in its place. Pure.
 */
import {
  type Form,
  fields,
  isMap,
  items,
  named,
  Place,
  path,
  type Raw,
  type Reshaping,
  rawOf,
  text,
  textMap,
} from "./long-form.js";
import { service } from "./long-service.js";

/** `external: {name: …}` is `external: true` with the name. */
function external(form: Form): Form {
  return (value, place) => {
    const map = rawOf(form(value, place));
    const old = map["external"];
    if (!isMap(old)) return map;
    const { name } = old;
    if (name !== undefined && map["name"] !== undefined)
      place.at("external").found("has a name, and so has its map: leave out external.name");
    const made = { ...map, external: true, ...(name === undefined ? {} : { name: String(name) }) };
    return place.marked(made, place.origin(map));
  };
}

const network = external(
  fields({
    driver_opts: textMap,
    labels: textMap,
    ipam: fields({ options: textMap, config: items(fields({ aux_addresses: textMap })) }),
  }),
);

/** A local volume that is a bind mount has a path of the project. */
const volume: Form = (value, place) => {
  const map = rawOf(external(fields({ driver_opts: textMap, labels: textMap }))(value, place));
  const options = rawOf(map["driver_opts"]);
  const { device, o } = options;
  const isBind = map["driver"] === "local" && o === "bind" && typeof device === "string";
  if (!isBind || place.with.isVersion3) return map;
  const located = place.marked({ ...options, device: place.absolute(device) }, place.origin(options));
  return place.marked({ ...map, driver_opts: located }, place.origin(map));
};

const fileObject = external(fields({ file: path, labels: textMap, driver_opts: textMap }));

const longInclude = fields({ path: items(path), project_directory: path, env_file: items(path) });
const include: Form = (value, place) => longInclude(isMap(value) ? value : { path: String(value) }, place);

const file = fields({
  version: text,
  include: items(include),
  services: named(service),
  networks: named(network),
  volumes: named(volume),
  secrets: named(fileObject),
  configs: named(fileObject),
  models: named(fields({})),
});

export function longProject(value: unknown, reshaping: Reshaping): Raw {
  return rawOf(file(value, new Place(reshaping)));
}
