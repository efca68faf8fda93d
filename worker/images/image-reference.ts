/**
 * Names of images: parsing, full and familiar forms.
 * Pure. Invariant: formatting a parsed reference and parsing it again gives the same reference.
 * Source: distribution-spec 1.1 (names, tags), OCI image-spec 1.1 (digests); Docker's defaults docker.io,
 * library/, latest.
 */
import { InvalidArgumentError } from "../../base/errors/errors.js";

export interface ImageReference {
  /** Registry host with optional port: docker.io, localhost:5000, [::1]:5000. */
  readonly domain: string;
  /** Path of the repository in its registry: library/busybox. */
  readonly path: string;
  /** Absent only when a digest stands alone. */
  readonly tag: string | undefined;
  /** sha256:<64 hex digits> */
  readonly digest: string | undefined;
}

const DEFAULT_DOMAIN = "docker.io";
const OFFICIAL_PREFIX = "library/";
const DEFAULT_TAG = "latest";

/** Longest repository name (domain and path), in characters. Source: distribution-spec. */
const NAME_LENGTH_MAX = 255;

const PATH_PART = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/;
const DOMAIN = /^(?:\[[0-9a-fA-F:.]+\]|[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?)(?::[0-9]{1,5})?$/;
const TAG = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/;
const DIGEST = /^sha256:[0-9a-f]{64}$/;

/** @returns whether the text is a sha256 digest in full. */
export function isDigest(text: string): boolean {
  return DIGEST.test(text);
}

/**
 * Parses a name as people write it; the missing parts get Docker's defaults, a tag only when no digest is
 * given.
 * @throws {InvalidArgumentError} naming the text and the rule it breaks.
 */
export function parseReference(text: string): ImageReference {
  const refuse = (rule: string): never => {
    throw new InvalidArgumentError(
      `invalid reference format: ${JSON.stringify(text.slice(0, 300))}: ${rule}`,
    );
  };
  if (text === "") refuse("a name is needed");
  if (/^[0-9a-f]{64}$/.test(text)) refuse("64 hexadecimal digits are an image id, not a name");
  const at = text.indexOf("@");
  const digest = at >= 0 ? text.slice(at + 1) : undefined;
  if (digest !== undefined && !isDigest(digest))
    refuse("a digest is sha256: and 64 lower-case hexadecimal digits");
  const named = at >= 0 ? text.slice(0, at) : text;

  const colon = named.lastIndexOf(":");
  const hasTag = colon > named.lastIndexOf("/") && !named.endsWith("]");
  const name = hasTag ? named.slice(0, colon) : named;
  const tag = hasTag ? named.slice(colon + 1) : undefined;
  if (tag !== undefined && !TAG.test(tag))
    refuse("a tag has 1 to 128 of letters, digits, _ . -, not beginning with . or -");

  const { domain, path } = splitDomain(name);
  if (!DOMAIN.test(domain)) refuse("the registry must be host or host:port");
  if (path !== path.toLowerCase())
    throw new InvalidArgumentError(`invalid reference format: repository name (${path}) must be lowercase`);
  if (!path.split("/").every((part) => PATH_PART.test(part))) {
    refuse("a repository name has lower-case letters, digits and single separators . _ __ - between them");
  }
  if (domain.length + 1 + path.length > NAME_LENGTH_MAX)
    refuse(`a name has at most ${NAME_LENGTH_MAX} characters`);
  return { domain, path, tag: tag ?? (digest === undefined ? DEFAULT_TAG : undefined), digest };
}

/** domain/path */
export function repositoryOf(reference: ImageReference): string {
  return `${reference.domain}/${reference.path}`;
}

/** The fully qualified form: docker.io/library/busybox:latest, with @digest when given. */
export function formatReference(reference: ImageReference): string {
  const tag = reference.tag === undefined ? "" : `:${reference.tag}`;
  const digest = reference.digest === undefined ? "" : `@${reference.digest}`;
  return `${repositoryOf(reference)}${tag}${digest}`;
}

/** The form people read: without docker.io/ and library/. */
export function familiarReference(reference: ImageReference): string {
  const full = formatReference(reference);
  const first = reference.path.includes("/") ? reference.path.split("/", 1)[0] : undefined;
  if (reference.domain !== DEFAULT_DOMAIN || (first !== undefined && looksLikeDomain(first))) return full;
  const short = full.slice(DEFAULT_DOMAIN.length + 1);
  const official =
    short.startsWith(OFFICIAL_PREFIX) && !reference.path.slice(OFFICIAL_PREFIX.length).includes("/");
  return official ? short.slice(OFFICIAL_PREFIX.length) : short;
}

/** The familiar form of a fully qualified name:tag or name@digest, as the store keeps them. */
export function familiarName(full: string): string {
  return familiarReference(parseReference(full));
}

function splitDomain(name: string): { domain: string; path: string } {
  const slash = name.indexOf("/");
  const first = slash < 0 ? "" : name.slice(0, slash);
  const isDomain = looksLikeDomain(first);
  const domain = isDomain ? first : DEFAULT_DOMAIN;
  const path = isDomain ? name.slice(slash + 1) : name;
  if (domain !== DEFAULT_DOMAIN && domain !== "index.docker.io") return { domain, path };
  return { domain: DEFAULT_DOMAIN, path: path.includes("/") ? path : OFFICIAL_PREFIX + path };
}

/**
 * Docker's rule: the first of several parts is a registry when it has a dot, a port or capitals, or is
 * localhost.
 */
function looksLikeDomain(first: string): boolean {
  return /[.:]/.test(first) || first === "localhost" || first !== first.toLowerCase();
}
