/**
 * `skein images|pull|load|import|tag|rmi`: the images of the node that answers. Edge: to the API, files and
 * the clock.
 */
import { createReadStream } from "node:fs";
import { open } from "node:fs/promises";
import type { Command } from "commander";
import { InvalidArgumentError, messageOf } from "../../base/errors/errors.js";
import { type Context, fetchRows, filtersQuery, forEachName, textOf } from "../context.js";
import { imageName, imageRows } from "../output/image-rows.js";
import { printList } from "../output/print-list.js";
import type { Row } from "../output/table.js";
import { JsonProgress } from "../progress/json-progress.js";
import { registryHeaders } from "../registry-auth-file.js";
import { listOption } from "../service/service-flags.js";

const COLUMNS = [
  { header: "REPOSITORY", field: "Repository" },
  { header: "TAG", field: "Tag" },
  { header: "IMAGE ID", field: "ID" },
  { header: "CREATED", field: "CreatedSince" },
  { header: "SIZE", field: "Size" },
];

/** A file, or standard input for "-". @throws {InvalidArgumentError} */
async function sourceOf(path: string): Promise<AsyncIterable<Uint8Array>> {
  if (path === "-") {
    if (process.stdin.isTTY)
      throw new InvalidArgumentError(
        "standard input is a terminal: redirect an archive into it, or name a file",
      );
    return process.stdin;
  }
  try {
    await (await open(path)).close();
  } catch (error) {
    throw new InvalidArgumentError(`cannot read ${path}: ${messageOf(error)}`, { cause: error });
  }
  return createReadStream(path);
}

interface StreamRequest {
  readonly path: string;
  readonly query?: Record<string, string | readonly string[]>;
  readonly stream?: AsyncIterable<Uint8Array>;
  readonly headers?: Record<string, string>;
}

/** POSTs and shows the progress. @throws {Error} a failure told inside the stream. */
async function postWithProgress(context: Context, request: StreamRequest, quiet: boolean): Promise<void> {
  const { path, ...options } = request;
  const response = await context.client().stream("POST", path, options);
  const progress = new JsonProgress((text) => process.stdout.write(text), {
    terminal: context.terminal,
    quiet,
  });
  for await (const chunk of response) progress.push((chunk as Buffer).toString("utf8")); // no encoding is set
}

function addTransfers(program: Command, context: Context): void {
  program
    .command("pull")
    .description("Fetch an image from a registry")
    .argument("<image>", "name, with :TAG or @DIGEST (default tag: latest)")
    .option("-q, --quiet", "no progress")
    .action(async (image: string, flags: { quiet?: boolean }) => {
      const { repository, tag, digest } = imageName(image);
      const query = { fromImage: repository, tag: digest ?? tag ?? "latest" };
      await postWithProgress(
        context,
        { path: "/images/create", query, headers: await registryHeaders(true, image) },
        flags.quiet === true,
      );
      context.print(image);
    });
  program
    .command("load")
    .description("Load images from a tar archive (docker save or OCI layout)")
    .option("-i, --input <file>", "the archive; standard input by default", "-")
    .option("-q, --quiet", "no progress")
    .action(async (flags: { input: string; quiet?: boolean }) => {
      const stream = await sourceOf(flags.input);
      await postWithProgress(
        context,
        { path: "/images/load", query: { quiet: flags.quiet ? "1" : "0" }, stream },
        flags.quiet === true,
      );
    });
  program
    .command("import")
    .description("Make an image of a tar archive of a file system")
    .argument("<file>", "the archive, or - for standard input")
    .argument("[repository[:tag]]", "name of the image")
    .addOption(listOption("-c, --change <instruction>", "Dockerfile instruction, such as CMD or ENV"))
    .option("-m, --message <text>", "comment of the image")
    .action(
      async (file: string, name: string | undefined, flags: { change?: string[]; message?: string }) => {
        const { repository, tag } = imageName(name ?? "");
        const query = {
          fromSrc: "-",
          repo: repository,
          tag: tag ?? "",
          message: flags.message ?? "",
          changes: flags.change ?? [],
        };
        await postWithProgress(
          context,
          { path: "/images/create", query, stream: await sourceOf(file) },
          false,
        );
      },
    );
}

export function addImageCommands(program: Command, context: Context): void {
  program
    .command("images")
    .description("List images")
    .argument("[repository[:tag]]", "only these")
    .addOption(listOption("-f, --filter <key=value>", "before, dangling, label, reference, since"))
    .option("--format <template>", "a template, table TEMPLATE, or json")
    .option("-a, --all", "all of them, which is the default here")
    .option("--no-trunc", "whole ids")
    .option("-q, --quiet", "ids alone")
    .action(
      async (
        reference: string | undefined,
        flags: { filter?: string[]; format?: string; trunc?: boolean; quiet?: boolean },
      ) => {
        const filters = [
          ...(flags.filter ?? []),
          ...(reference === undefined ? [] : [`reference=${reference}`]),
        ];
        const images = await fetchRows(context, "/images/json", filtersQuery(filters));
        const rows = imageRows(images, { nowMs: Date.now(), noTrunc: flags.trunc === false });
        printList(context, COLUMNS, rows, { format: flags.format, quiet: flags.quiet, idField: "ID" });
      },
    );
  addTransfers(program, context);
  program
    .command("tag")
    .description("Give an image another name")
    .argument("<image>", "id or name")
    .argument("<name[:tag]>", "the other name")
    .action(async (image: string, name: string) => {
      const { repository, tag } = imageName(name);
      await context.client().call("POST", `/images/${encodeURIComponent(image)}/tag`, {
        query: { repo: repository, tag: tag ?? "latest" },
      });
    });
  program
    .command("rmi")
    .description("Remove images")
    .argument("<image...>", "ids or names")
    .option("-f, --force", "also an image that has several names")
    .action((names: string[], flags: { force?: boolean }) =>
      forEachName(context, names, async (name) => {
        const answer = await context.client().call("DELETE", `/images/${encodeURIComponent(name)}`, {
          query: { force: flags.force ? "1" : "0" },
        });
        const removed = Array.isArray(answer) ? (answer as Row[]) : []; // the API answers with a list
        return removed
          .map((each) =>
            each["Untagged"] === undefined
              ? `Deleted: ${textOf(each["Deleted"])}`
              : `Untagged: ${textOf(each["Untagged"])}`,
          )
          .join("\n");
      }),
    );
}
