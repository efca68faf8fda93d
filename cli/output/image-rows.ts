/**
 * Images as `images` lists them: one row per name. Pure.
 */
import { textOf } from "../context.js";
import type { Row } from "./table.js";
import { duration, shortId, size } from "./words.js";

export interface ImageName {
  readonly repository: string;
  readonly tag?: string;
  readonly digest?: string;
}

/** "host:5000/a/b:tag@sha256:…" in its parts; a port is no tag. */
export function imageName(name: string): ImageName {
  const [rest = "", digest] = name.split("@");
  const colon = rest.lastIndexOf(":");
  const hasTag = colon > rest.lastIndexOf("/");
  return {
    repository: hasTag ? rest.slice(0, colon) : rest,
    ...(hasTag ? { tag: rest.slice(colon + 1) } : {}),
    ...(digest === undefined ? {} : { digest }),
  };
}

export function imageRows(
  images: readonly Row[],
  options: { readonly nowMs: number; readonly noTrunc: boolean },
): Row[] {
  return images.flatMap((image) => {
    const id = textOf(image["Id"]);
    const common = {
      ID: options.noTrunc ? id : shortId(id),
      Digest: digestOf(image),
      CreatedAt: new Date(Number(image["Created"] ?? 0) * 1000).toISOString(),
      Containers: "N/A",
      SharedSize: "N/A",
      UniqueSize: "N/A",
      VirtualSize: size(Number(image["Size"] ?? 0)),
      CreatedSince: `${duration(options.nowMs - Number(image["Created"] ?? 0) * 1000)} ago`,
      Size: size(Number(image["Size"] ?? 0)),
    };
    const names =
      Array.isArray(image["RepoTags"]) && image["RepoTags"].length > 0
        ? image["RepoTags"].map(String)
        : ["<none>:<none>"];
    return names.map((name) => {
      const { repository, tag } = imageName(name);
      return { Repository: repository, Tag: tag ?? "<none>", ...common };
    });
  });
}

function digestOf(image: Row): string {
  const names = Array.isArray(image["RepoDigests"]) ? image["RepoDigests"].map(String) : [];
  return names[0]?.split("@")[1] ?? "<none>";
}
