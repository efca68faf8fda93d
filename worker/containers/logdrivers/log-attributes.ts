/**
 * What the log options labels, labels-regex, env and env-regex take from a container into its log. Pure.
 * Source: Docker's "Customize log driver output".
 */

/** Of a container with log options that were admitted. */
export function logAttributes(specification: {
  readonly labels: Readonly<Record<string, string>>;
  readonly env: readonly string[];
  readonly log: { readonly options?: Readonly<Record<string, string>> | undefined };
}): Readonly<Record<string, string>> {
  const { labels, env, log } = specification;
  const options = log.options ?? {};
  const variables = Object.fromEntries(
    env.map((entry) => {
      const at = entry.indexOf("=");
      return at < 0 ? [entry, ""] : [entry.slice(0, at), entry.slice(at + 1)];
    }),
  );
  return {
    ...chosen(labels, options["labels"], options["labels-regex"]),
    ...chosen(variables, options["env"], options["env-regex"]),
  };
}

function chosen(
  all: Readonly<Record<string, string>>,
  names: string | undefined,
  pattern: string | undefined,
): Record<string, string> {
  const wanted = new Set((names ?? "").split(",").filter((name) => name !== ""));
  const matching = pattern === undefined || pattern === "" ? undefined : new RegExp(pattern);
  return Object.fromEntries(
    Object.entries(all).filter(([name]) => wanted.has(name) || matching?.test(name) === true),
  );
}
