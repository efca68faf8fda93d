/**
 * Build arguments: which are given, declared, and seen by which stage. Pure.
 * Source: Dockerfile reference, ARG (scope, precedence, predefined arguments, impact on the cache).
 */
const PROXY_NAMES: ReadonlySet<string> = new Set(
  ["HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY"].flatMap((name) => [
    name,
    name.toLowerCase(),
  ]),
);

export interface Platform {
  readonly os: string;
  readonly architecture: string;
  readonly variant?: string;
}

/** TARGETPLATFORM and its kin: a global scope of their own, seen where an ARG names them. */
export function platformArguments(target: Platform, build: Platform): Readonly<Record<string, string>> {
  const of = (prefix: string, { os, architecture, variant = "" }: Platform) => ({
    [`${prefix}PLATFORM`]: `${os}/${architecture}${variant === "" ? "" : `/${variant}`}`,
    [`${prefix}OS`]: os,
    [`${prefix}ARCH`]: architecture,
    [`${prefix}VARIANT`]: variant,
  });
  return { ...of("TARGET", target), ...of("BUILD", build) };
}

export class BuildArguments {
  /** undefined: named without a value. */
  readonly #given: ReadonlyMap<string, string | undefined>;
  readonly #predefined: ReadonlyMap<string, string>;
  readonly #global = new Map<string, string | undefined>();
  #stage = new Map<string, string | undefined>();
  readonly #used = new Set<string>();

  constructor(
    given: Readonly<Record<string, string | undefined>>,
    predefined: Readonly<Record<string, string>> = {},
  ) {
    this.#given = new Map(Object.entries(given));
    this.#predefined = new Map(Object.entries(predefined));
  }

  declareGlobal(name: string, value: string | undefined): void {
    this.#used.add(name);
    this.#global.set(name, value);
  }

  declare(name: string, value: string | undefined): void {
    this.#used.add(name);
    this.#stage.set(name, value);
  }

  startStage(): void {
    this.#stage = new Map();
  }

  /** In FROM, and in ARG before it. */
  globalValue(name: string): string | undefined {
    if (this.#global.has(name)) return this.#given.get(name) ?? this.#global.get(name);
    return this.#predefined.get(name);
  }

  /** Within a stage; the image's own variables come before. */
  stageValue(name: string): string | undefined {
    if (!this.#stage.has(name)) return PROXY_NAMES.has(name) ? this.#given.get(name) : undefined;
    const given = this.#given.get(name);
    if (given !== undefined) return given;
    const own = this.#stage.get(name);
    return own ?? this.globalValue(name);
  }

  /** Arguments a command sees: all with a value that the image does not set itself. */
  visible(env: readonly string[]): readonly { readonly name: string; readonly value: string }[] {
    const set = new Set(env.map((entry) => entry.split("=", 1)[0] ?? ""));
    const names = new Set([
      ...this.#stage.keys(),
      ...[...this.#given.keys()].filter((one) => PROXY_NAMES.has(one)),
    ]);
    return [...names].sort().flatMap((name) => {
      const value = set.has(name) ? undefined : this.stageValue(name);
      return value === undefined ? [] : [{ name, value }];
    });
  }

  /** Whether it counts for the cache and the history: proxies only once an ARG names them. */
  isDeclared(name: string): boolean {
    return this.#stage.has(name) || !PROXY_NAMES.has(name);
  }

  /** Given, and named by no ARG. */
  unused(): readonly string[] {
    return [...this.#given.keys()].filter((name) => !this.#used.has(name) && !PROXY_NAMES.has(name)).sort();
  }
}
