/**
 * What a registry says in WWW-Authenticate and in its error bodies.
 * Pure. Sources: RFC 7235 (challenges), distribution token authentication, distribution-spec 1.1 (error
 * codes).
 */
import { asObject } from "./image-manifest.js";

export interface Challenge {
  /** Lower case: basic, bearer. */
  readonly scheme: string;
  readonly parameters: Readonly<Record<string, string>>;
}

/** Longest stretch of an answer that is quoted in an error message, in characters. */
const WORDS_LENGTH_MAX = 300;

/** @returns the challenges of a header, in its order. */
export function parseChallenges(header: string): readonly Challenge[] {
  const challenges: { scheme: string; parameters: Record<string, string> }[] = [];
  const pattern =
    /([A-Za-z0-9_-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,]+))|([A-Za-z][A-Za-z0-9_-]*)(?=\s|,|$)/g;
  for (const [, name, quoted, bare, scheme] of header.matchAll(pattern)) {
    if (scheme !== undefined) challenges.push({ scheme: scheme.toLowerCase(), parameters: {} });
    else if (name !== undefined) {
      const current = challenges.at(-1);
      if (current !== undefined)
        current.parameters[name.toLowerCase()] = quoted?.replace(/\\(.)/g, "$1") ?? bare ?? "";
    }
  }
  return challenges;
}

export interface RegistryWords {
  /** MANIFEST_UNKNOWN and so on; "" when the answer has none. */
  readonly code: string;
  /** "manifest unknown: manifest unknown", as Docker shows it. */
  readonly text: string;
}

/** @returns the first error of an answer's body in the registry's own words, else its status and text. */
export function registryWordsOf(body: string, status: number): RegistryWords {
  const first = firstError(body);
  if (first !== undefined) {
    const code = typeof first["code"] === "string" ? first["code"] : "";
    const message = typeof first["message"] === "string" ? first["message"] : "";
    const spoken = code.toLowerCase().replaceAll("_", " ");
    return { code, text: clip([spoken, message].filter((part) => part !== "").join(": ")) };
  }
  const plain = body
    .replace(/<[^>]*>/g, " ")
    .replace(/\s+/g, " ")
    .trim();
  return { code: "", text: clip(plain === "" ? `status ${status}` : `status ${status}: ${plain}`) };
}

function firstError(body: string): Readonly<Record<string, unknown>> | undefined {
  let json: unknown;
  try {
    json = JSON.parse(body);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined; // a proxy's page, most likely
    throw error;
  }
  const errors = asObject(json)?.["errors"];
  return Array.isArray(errors) ? asObject(errors[0]) : undefined;
}

function clip(text: string): string {
  return text.length <= WORDS_LENGTH_MAX ? text : `${text.slice(0, WORDS_LENGTH_MAX)}…`;
}
