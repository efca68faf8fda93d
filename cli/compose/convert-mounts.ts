/**
 * Volumes of a service as the API's mounts. Pure.
 * A volume of the project carries its name, labels and driver along: the node that needs it makes it.
 */
import { given, type Json } from "../service/flag-values.js";
import { pathIn, type ServiceScope } from "./convert-scope.js";
import { bytesOf, ifTrue, nonEmpty } from "./convert-values.js";
import type { MountDoc } from "./model.js";
import { stackLabels } from "./naming.js";

/** Options that a type of mount has; those of another are a mistake. */
const OPTIONS = ["bind", "volume", "tmpfs", "image", "cluster"] as const;
const WITHOUT_SOURCE = ["tmpfs"];
const NEEDS_SOURCE = ["bind", "image", "npipe", "cluster"];

export function mountsOf(scope: ServiceScope): Json[] | undefined {
  return nonEmpty((scope.service.volumes ?? []).map((doc, i) => mountOf(doc, scope, i)));
}

function mountOf(doc: MountDoc, scope: ServiceScope, index: number): Json {
  check(doc, scope, index);
  return given({
    Type: doc.type,
    Source: sourceOf(doc, scope),
    Target: doc.target,
    ReadOnly: ifTrue(doc.read_only),
    Consistency: doc.consistency,
    BindOptions: bindOptions(doc, scope),
    VolumeOptions: nonEmpty(volumeOptions(doc, scope)),
    TmpfsOptions: nonEmpty(
      given({ SizeBytes: bytesOf(doc.tmpfs?.size, "tmpfs.size"), Mode: doc.tmpfs?.mode }),
    ),
    ImageOptions: nonEmpty(given({ Subpath: doc.image?.subpath })),
    ClusterOptions: doc.type === "cluster" ? {} : undefined,
  });
}

function check(doc: MountDoc, scope: ServiceScope, index: number): void {
  const path = pathIn(scope, "volumes", index);
  const own = doc.type === "npipe" ? "bind" : doc.type;
  for (const other of OPTIONS.filter((each) => each !== own && doc[each] !== undefined))
    scope.notes.refuse([...path, other], `excludes type ${doc.type}`);
  if (NEEDS_SOURCE.includes(doc.type) && (doc.source ?? "") === "")
    scope.notes.refuse(path, `needs a source, as its type is ${doc.type}`);
  if (WITHOUT_SOURCE.includes(doc.type) && doc.source !== undefined)
    scope.notes.refuse([...path, "source"], `excludes type ${doc.type}`);
}

const isGroup = (doc: MountDoc): boolean =>
  doc.type === "cluster" && doc.source?.startsWith("group:") === true;

function sourceOf(doc: MountDoc, { project, naming }: ServiceScope): string | undefined {
  const { source, type } = doc;
  if (source === undefined || !["volume", "cluster"].includes(type) || isGroup(doc)) return source;
  return Object.hasOwn(project.volumes, source) ? naming.nameOf("volumes", source) : source;
}

/**
 * A folder that is not there is made, unless the file says no; with a version the file must ask for it, as
 * Docker's client never does. Source: Compose Specification, create_host_path.
 */
function bindOptions(
  { type, bind, read_only: readOnly }: MountDoc,
  { versioned }: ServiceScope,
): Json | undefined {
  const makesSource = bind?.create_host_path ?? (type === "bind" && !versioned);
  return nonEmpty(
    given({
      Propagation: bind?.propagation,
      CreateMountpoint: ifTrue(makesSource),
      NonRecursive: ifTrue(bind?.recursive === "disabled"),
      // read-only as deep as the kernel can, unless the file says how deep
      ReadOnlyNonRecursive: ifTrue(readOnly === true && bind?.recursive === "writable"),
      ReadOnlyForceRecursive: ifTrue(readOnly === true && bind?.recursive === "readonly"),
    }),
  );
}

function volumeOptions(doc: MountDoc, { project, naming }: ServiceScope): Json {
  const declared =
    doc.type === "volume" && doc.source !== undefined ? project.volumes[doc.source] : undefined;
  const own = declared?.external === true ? undefined : declared;
  const hasDriver = own?.driver !== undefined || nonEmpty(own?.driver_opts) !== undefined;
  const labels = {
    ...doc.volume?.labels,
    ...(own === undefined ? {} : stackLabels(naming.stack, own.labels)),
  };
  return given({
    NoCopy: ifTrue(doc.volume?.nocopy),
    Labels: nonEmpty(labels),
    Subpath: doc.volume?.subpath,
    DriverConfig: hasDriver ? given({ Name: own?.driver, Options: nonEmpty(own?.driver_opts) }) : undefined,
  });
}
