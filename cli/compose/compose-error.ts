/**
 * What is wrong in a compose file, and where: `compose.yml:12: services.web.deploy.replicas: must be an
 * integer, got "x"`. Pure.
 */
import { InvalidArgumentError } from "../../base/errors/errors.js";

export interface Position {
  readonly file: string;
  /** From 1. */
  readonly line: number;
}

export interface Finding {
  readonly position: Position;
  /** "services.web.ports[0]"; "" for the whole file. */
  readonly key: string;
  readonly rule: string;
}

/** A rule longer than this is cut: it quotes what was found, and that may be as long as the file. */
const RULE_LENGTH_MAX = 2_000;

export function findingText({ position, key, rule }: Finding): string {
  const words = rule.length > RULE_LENGTH_MAX ? `${rule.slice(0, RULE_LENGTH_MAX)}…` : rule;
  return `${position.file}:${position.line}: ${key === "" ? "" : `${key}: `}${words}`;
}

/** File by file, from top to bottom. */
export function inFileOrder(findings: readonly Finding[]): readonly Finding[] {
  const files = [...new Set(findings.map(({ position }) => position.file))];
  const place = new Map(files.map((file, i) => [file, i]));
  const rank = ({ position }: Finding): number => place.get(position.file) ?? 0;
  return [...findings].sort((a, b) => rank(a) - rank(b) || a.position.line - b.position.line);
}

/** Of more findings the first are told, and how many there are beside. */
const TOLD_MAX = 50;

/** All findings of a file at once, one a line. */
export class ComposeError extends InvalidArgumentError {
  readonly findings: readonly Finding[];

  constructor(found: readonly Finding[], options: { cause?: unknown } = {}) {
    const findings = inFileOrder(found);
    const more = findings.length - TOLD_MAX;
    const lines = findings.slice(0, TOLD_MAX).map(findingText);
    super([...lines, ...(more > 0 ? [`and ${more} more`] : [])].join("\n"), options);
    this.findings = findings;
  }
}

export type Path = readonly (string | number)[];

/** A key longer than this is cut in messages. */
const KEY_LENGTH_MAX = 80;
const cut = (key: string): string => (key.length > KEY_LENGTH_MAX ? `${key.slice(0, KEY_LENGTH_MAX)}…` : key);

/** ["services", "web", "ports", 0] as "services.web.ports[0]". */
export function pathText(path: Path): string {
  return path
    .map((part, i) => (typeof part === "number" ? `[${part}]` : `${i === 0 ? "" : "."}${cut(part)}`))
    .join("");
}
