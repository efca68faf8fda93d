/**
 * Dockerfiles whose images are known: what came of them stands in build-corpus.json, written by
 * test/support/build-corpus-main.ts out of a dockerd where that knows the instruction. Pure (data).
 */
import { gzipSync } from "node:zlib";
import type { BuildCase } from "./build-peer.js";

export const BASE = "build-corpus-base";

/** A tar of one folder and a file in it, by hand: fixed bytes. */
function tarOf(files: Readonly<Record<string, string>>): Buffer {
  const blocks = Object.entries(files).flatMap(([name, content]) => {
    const header = Buffer.alloc(512);
    const isFolder = name.endsWith("/");
    header.write(name, 0);
    header.write(isFolder ? "0000755\0" : "0004640\0", 100);
    header.write("0001751\0", 108); // 1001
    header.write("0001752\0", 116); // 1002
    header.write(`${content.length.toString(8).padStart(11, "0")}\0`, 124);
    header.write("14524770400\0", 136);
    header.write("        ", 148);
    header.write(isFolder ? "5" : "0", 156);
    header.write("ustar\x0000", 257);
    header.write(
      `${header
        .reduce((sum, byte) => sum + byte, 0)
        .toString(8)
        .padStart(6, "0")}\0 `,
      148,
    );
    const body = Buffer.alloc(Math.ceil(content.length / 512) * 512);
    body.write(content);
    return [header, body];
  });
  return Buffer.concat([...blocks, Buffer.alloc(1024)]);
}

const TREE = {
  "d/one": "1",
  "d/sub": [0o700, "folder:"],
  "d/sub/two": [0o640, "22"],
  "d/link": "link:one",
  "d/set": [0o4755, "s"],
  "a.txt": "a",
  "b.txt": "bb",
  "sp ace": "x",
  toone: "link:d/one",
  tod: "link:d",
} as const;

const file = (...lines: readonly string[]): string => lines.join("\n");
const from = (...lines: readonly string[]): string => file(`FROM ${BASE}`, ...lines, "");

export const CORPUS: readonly BuildCase[] = [
  {
    name: "notes",
    dockerfile: from(
      'ENV A=1 B="two words" C=\\$A',
      "ENV OLD  the  rest",
      "LABEL x=y \"k k\"='v v'",
      "USER web",
    ),
  },
  {
    name: "note-forms",
    dockerfile: from(
      'VOLUME /v ["/w"]',
      'VOLUME ["/x", "/y"]',
      "EXPOSE 80 53/udp 90-92 1:2",
      "STOPSIGNAL 9",
      "MAINTAINER me <a@b>",
    ),
  },
  {
    name: "health",
    dockerfile: from(
      'HEALTHCHECK --interval=1m30s --timeout=1.5s --retries=3 CMD ["x", "y"]',
      "HEALTHCHECK NONE",
      "HEALTHCHECK CMD curl  x",
    ),
  },
  {
    name: "commands",
    dockerfile: from("CMD echo a", 'ENTRYPOINT ["/bin/e", "f"]', 'SHELL ["/bin/sh", "-ec"]', 'CMD x "y"'),
  },
  { name: "entrypoint-clears", dockerfile: from("ENTRYPOINT exec top") },
  { name: "json-tail", dockerfile: from('CMD ["a"] b', 'ENTRYPOINT ["a\\tb"]') },
  { name: "shell-form-bracket", dockerfile: from('CMD ["a", b]', "ENTRYPOINT [ -e x ]") },
  {
    name: "workdir",
    dockerfile: from(
      "WORKDIR /w/x",
      "WORKDIR rel",
      "WORKDIR ../up",
      "ENV D=/env",
      "WORKDIR $D/y",
      "RUN echo x > here",
    ),
  },
  {
    name: "run",
    dockerfile: from(
      "RUN echo one > /one; echo err >&2",
      'RUN ["touch", "/two"]',
      "USER web",
      'RUN id -u > /tmp/who; test "$(id -u)" = 1000',
    ),
  },
  { name: "run-fails", dockerfile: from("RUN echo before; exit 42", "RUN never") },
  {
    name: "continuation",
    dockerfile: file(
      "# a remark",
      "FROM build-corpus-base",
      "RUN echo a \\",
      "  # inside",
      "  && echo b  \\  ",
      "  > /out",
      "  LABEL a=b \\",
      " c=d",
      "",
    ),
  },
  {
    name: "escape",
    dockerfile: file("# escape=`", "FROM build-corpus-base", "ENV A=c:\\x `", " B=y", "LABEL a=`$A b=$A", ""),
  },
  {
    name: "global-args",
    dockerfile: file(
      `ARG IMAGE=${BASE}`,
      `ARG V=1`,
      `FROM \${IMAGE} AS a`,
      `ARG V`,
      `ARG W=\${V}w`,
      `RUN echo $V $W > /args`,
      `FROM a`,
      `RUN echo "[$V]" > /later`,
    ),
  },
  {
    name: "given-args",
    query: { buildargs: '{"V":"2","X":"3","HTTP_PROXY":"p"}' },
    dockerfile: from(
      "ARG V=1",
      "ARG N",
      "ENV E=$V",
      "RUN echo $V $N $HTTP_PROXY > /args",
      "ENV V=env",
      "RUN echo $V > /args2",
    ),
  },
  {
    name: "substitution",
    dockerfile: from(
      "ENV A=val E=",
      'LABEL a=${A:-x} b=${N:-x y} c=${E:-"q r"} d=${A:+set} e=${N:+set}',
      "LABEL f='$A' g=\"$A-\\$A\" h=${A}b i=$A/b j=${N:-${A}}",
    ),
  },
  {
    name: "substitution-empty",
    newer: true,
    dockerfile: from(
      "ENV E= A=a.tar.gz",
      "LABEL a=${E-x} b=${N-x} c=${E+x} d=${A%.*} e=${A%%.*} f=${A#*.} g=${A##*.} h=${A/tar/zip} i=${A//a/o}",
    ),
  },
  {
    name: "copy-files",
    files: TREE,
    dockerfile: from(
      "COPY a.txt b.txt /o/",
      "COPY a.txt /o/named",
      "COPY a.txt /o/new/",
      "WORKDIR /wd",
      "COPY a.txt .",
      "COPY b.txt sub/",
    ),
  },
  { name: "copy-folder", files: TREE, dockerfile: from("COPY d /o", "COPY d /o/again/", "COPY d/ /p") },
  {
    name: "copy-all",
    newer: true, // dockerd leaves .dockerignore to its clients
    files: { ...TREE, ".dockerignore": "Dockerfile\n.dockerignore\nd/sub\n*.txt\n!b.txt\n" },
    dockerfile: from("COPY . /o"),
    query: { pull: "0" },
  },
  {
    name: "copy-links",
    files: TREE,
    dockerfile: from(
      "COPY toone /o/",
      "COPY tod /o/dir",
      "RUN mkdir /real && ln -s /real /o/in && ln -s /real/f /o/file",
      "COPY a.txt /o/in/",
      "COPY a.txt /o/file",
    ),
  },
  {
    name: "copy-wildcard",
    files: TREE,
    dockerfile: from("COPY *.txt /o/", 'COPY ["sp ace", "/o/"]', "COPY d/s* /p/", "COPY [ab].t?t /q/"),
  },
  {
    name: "copy-chown",
    files: TREE,
    dockerfile: from(
      "COPY --chown=web a.txt /o/n/",
      "COPY --chown=7 d /p",
      "COPY --chown=web:nogroup a.txt /o/",
      "COPY --chown=0:5 a.txt /o/x",
    ),
  },
  {
    name: "copy-over",
    files: TREE,
    dockerfile: from(
      "RUN mkdir -p /o/sub && echo old > /o/one && chmod 600 /o/one && echo kept > /o/kept",
      "COPY d /o",
    ),
  },
  { name: "copy-missing", files: TREE, dockerfile: from("COPY nothing /o") },
  { name: "copy-outside", files: TREE, dockerfile: from("COPY ../etc/passwd /o") },
  { name: "copy-many-to-file", files: TREE, dockerfile: from("COPY a.txt b.txt /o") },
  {
    name: "add-archives",
    files: {
      "t.tar": [0o644, tarOf({ "x/": "", "x/f": "data" })],
      "t.tgz": [0o644, gzipSync(tarOf({ "y/": "", "y/f": "data" }))],
      "no.tar": "text",
    },
    dockerfile: from("ADD t.tar /o", "ADD t.tgz no.tar /o/", "COPY t.tar /o/", "ADD --chown=web no.tar /p"),
  },
  {
    name: "stages",
    files: TREE,
    dockerfile: file(
      `FROM ${BASE} AS one`,
      `RUN mkdir /o && echo 1 > /o/f && chown 3:4 /o/f && chmod 4711 /o/f`,
      `FROM ${BASE} AS Two`,
      `COPY --from=one /o /p`,
      `FROM ${BASE}`,
      `COPY --from=0 /o/f /q/`,
      `COPY --from=two /p /r`,
      `COPY --from=${BASE} /etc/group /r/`,
    ),
  },
  {
    name: "target",
    query: { target: "mid" },
    dockerfile: file(
      `FROM ${BASE} AS first`,
      `RUN touch /1`,
      `FROM first AS mid`,
      `RUN touch /2`,
      `FROM mid`,
      `RUN false`,
    ),
  },
  {
    name: "scratch",
    files: TREE,
    dockerfile: file("FROM scratch", "COPY a.txt /x/", "LABEL a=b", 'CMD ["/x/a.txt"]'),
  },
  {
    name: "onbuild-parent",
    tag: "build-corpus-parent",
    dockerfile: from(
      "ONBUILD RUN echo triggered > /t",
      "ONBUILD COPY a.txt /t2",
      "ONBUILD LABEL from=parent",
    ),
  },
  { name: "onbuild-child", files: TREE, dockerfile: file("FROM build-corpus-parent", "RUN touch /after") },
  { name: "labels", query: { labels: '{"b":"c d","a":"q\'$x"}' }, dockerfile: from("LABEL a=1") },
  { name: "unknown", dockerfile: from("FROBNICATE x") },
  { name: "bad-flag", dockerfile: from("COPY --nonsense=1 a b") },
  {
    name: "heredoc-run",
    newer: true,
    dockerfile: from(
      "RUN <<EOF",
      "echo a > /a",
      'echo "$PATH" > /b',
      "EOF",
      "RUN cat <<'X' > /c && cat <<-Y > /d",
      "$PATH",
      "X",
      "\ttabbed",
      "\tY",
      "RUN <<S",
      "#!/bin/cat",
      "script",
      "S",
    ),
  },
  {
    name: "heredoc-copy",
    newer: true,
    dockerfile: from(
      "ENV V=val",
      "COPY <<EOF <<'RAW' /o/",
      'x $V "q"',
      "EOF",
      "x $V",
      "RAW",
      "COPY <<one.txt /named",
      "1",
      "one.txt",
    ),
  },
  {
    name: "copy-newer",
    newer: true,
    files: TREE,
    dockerfile: from(
      "COPY --chmod=600 a.txt /o/",
      "COPY --link b.txt /o/",
      "COPY --exclude=sub --exclude=l* d /p",
      "COPY --parents d/sub/two a.txt /q/",
      "COPY --chown=web --chmod=0750 d /r",
    ),
  },
  {
    name: "run-mounts",
    newer: true,
    files: TREE,
    dockerfile: from(
      "RUN --mount=type=bind,target=/ctx cat /ctx/a.txt > /got",
      "RUN --mount=type=cache,target=/c echo 1 >> /c/n",
      "RUN --mount=type=cache,target=/c test -s /c/n && touch /kept",
      "RUN --mount=type=tmpfs,target=/t touch /t/x",
      "RUN --network=none test ! -e /sys/class/net/eth0",
      "RUN --mount=type=secret,id=x true",
    ),
  },
  {
    name: "start-interval",
    newer: true,
    dockerfile: from("HEALTHCHECK --start-interval=2s --start-period=1h CMD true"),
  },
  {
    name: "add-unpack",
    newer: true,
    files: { "t.tar": [0o644, tarOf({ "x/": "", "x/f": "data" })] },
    dockerfile: from("ADD --unpack=false t.tar /o/"),
  },
];
