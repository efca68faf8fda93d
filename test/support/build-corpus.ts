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

const from = (lines: string): string => `FROM ${BASE}\n${lines}\n`;

export const CORPUS: readonly BuildCase[] = [
  {
    name: "notes",
    dockerfile: from('ENV A=1 B="two words" C=\\$A\nENV OLD  the  rest\nLABEL x=y "k k"=\'v v\'\nUSER web'),
  },
  {
    name: "note-forms",
    dockerfile: from(
      'VOLUME /v ["/w"]\nVOLUME ["/x", "/y"]\nEXPOSE 80 53/udp 90-92 1:2\nSTOPSIGNAL 9\nMAINTAINER me <a@b>',
    ),
  },
  {
    name: "health",
    dockerfile: from(
      'HEALTHCHECK --interval=1m30s --timeout=1.5s --retries=3 CMD ["x", "y"]\nHEALTHCHECK NONE\nHEALTHCHECK CMD curl  x',
    ),
  },
  {
    name: "commands",
    dockerfile: from('CMD echo a\nENTRYPOINT ["/bin/e", "f"]\nSHELL ["/bin/sh", "-ec"]\nCMD x "y"'),
  },
  { name: "entrypoint-clears", dockerfile: from("ENTRYPOINT exec top") },
  { name: "json-tail", dockerfile: from('CMD ["a"] b\nENTRYPOINT ["a\\tb"]') },
  { name: "shell-form-bracket", dockerfile: from('CMD ["a", b]\nENTRYPOINT [ -e x ]') },
  {
    name: "workdir",
    dockerfile: from("WORKDIR /w/x\nWORKDIR rel\nWORKDIR ../up\nENV D=/env\nWORKDIR $D/y\nRUN echo x > here"),
  },
  {
    name: "run",
    dockerfile: from(
      'RUN echo one > /one; echo err >&2\nRUN ["touch", "/two"]\nUSER web\nRUN id -u > /tmp/who; test "$(id -u)" = 1000',
    ),
  },
  { name: "run-fails", dockerfile: from("RUN echo before; exit 42\nRUN never") },
  {
    name: "continuation",
    dockerfile:
      "# a remark\nFROM build-corpus-base\nRUN echo a \\\n  # inside\n  && echo b  \\  \n  > /out\n  LABEL a=b \\\n c=d\n",
  },
  {
    name: "escape",
    dockerfile: "# escape=`\nFROM build-corpus-base\nENV A=c:\\x `\n B=y\nLABEL a=`$A b=$A\n",
  },
  {
    name: "global-args",
    dockerfile: `ARG IMAGE=${BASE}\nARG V=1\nFROM \${IMAGE} AS a\nARG V\nARG W=\${V}w\nRUN echo $V $W > /args\nFROM a\nRUN echo "[$V]" > /later`,
  },
  {
    name: "given-args",
    query: { buildargs: '{"V":"2","X":"3","HTTP_PROXY":"p"}' },
    dockerfile: from(
      "ARG V=1\nARG N\nENV E=$V\nRUN echo $V $N $HTTP_PROXY > /args\nENV V=env\nRUN echo $V > /args2",
    ),
  },
  {
    name: "substitution",
    dockerfile: from(
      'ENV A=val E=\nLABEL a=${A:-x} b=${N:-x y} c=${E:-"q r"} d=${A:+set} e=${N:+set} f=\'$A\' g="$A-\\$A" h=${A}b i=$A/b j=${N:-${A}}',
    ),
  },
  {
    name: "substitution-empty",
    newer: true,
    dockerfile: from(
      "ENV E= A=a.tar.gz\nLABEL a=${E-x} b=${N-x} c=${E+x} d=${A%.*} e=${A%%.*} f=${A#*.} g=${A##*.} h=${A/tar/zip} i=${A//a/o}",
    ),
  },
  {
    name: "copy-files",
    files: TREE,
    dockerfile: from(
      "COPY a.txt b.txt /o/\nCOPY a.txt /o/named\nCOPY a.txt /o/new/\nWORKDIR /wd\nCOPY a.txt .\nCOPY b.txt sub/",
    ),
  },
  { name: "copy-folder", files: TREE, dockerfile: from("COPY d /o\nCOPY d /o/again/\nCOPY d/ /p") },
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
      "COPY toone /o/\nCOPY tod /o/dir\nRUN mkdir /real && ln -s /real /o/in && ln -s /real/f /o/file\nCOPY a.txt /o/in/\nCOPY a.txt /o/file",
    ),
  },
  {
    name: "copy-wildcard",
    files: TREE,
    dockerfile: from('COPY *.txt /o/\nCOPY ["sp ace", "/o/"]\nCOPY d/s* /p/\nCOPY [ab].t?t /q/'),
  },
  {
    name: "copy-chown",
    files: TREE,
    dockerfile: from(
      "COPY --chown=web a.txt /o/n/\nCOPY --chown=7 d /p\nCOPY --chown=web:nogroup a.txt /o/\nCOPY --chown=0:5 a.txt /o/x",
    ),
  },
  {
    name: "copy-over",
    files: TREE,
    dockerfile: from(
      "RUN mkdir -p /o/sub && echo old > /o/one && chmod 600 /o/one && echo kept > /o/kept\nCOPY d /o",
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
    dockerfile: from("ADD t.tar /o\nADD t.tgz no.tar /o/\nCOPY t.tar /o/\nADD --chown=web no.tar /p"),
  },
  {
    name: "stages",
    files: TREE,
    dockerfile: `FROM ${BASE} AS one\nRUN mkdir /o && echo 1 > /o/f && chown 3:4 /o/f && chmod 4711 /o/f\nFROM ${BASE} AS Two\nCOPY --from=one /o /p\nFROM ${BASE}\nCOPY --from=0 /o/f /q/\nCOPY --from=two /p /r\nCOPY --from=${BASE} /etc/group /r/`,
  },
  {
    name: "target",
    query: { target: "mid" },
    dockerfile: `FROM ${BASE} AS first\nRUN touch /1\nFROM first AS mid\nRUN touch /2\nFROM mid\nRUN false`,
  },
  { name: "scratch", files: TREE, dockerfile: 'FROM scratch\nCOPY a.txt /x/\nLABEL a=b\nCMD ["/x/a.txt"]' },
  {
    name: "onbuild-parent",
    tag: "build-corpus-parent",
    dockerfile: from("ONBUILD RUN echo triggered > /t\nONBUILD COPY a.txt /t2\nONBUILD LABEL from=parent"),
  },
  { name: "onbuild-child", files: TREE, dockerfile: "FROM build-corpus-parent\nRUN touch /after" },
  { name: "labels", query: { labels: '{"b":"c d","a":"q\'$x"}' }, dockerfile: from("LABEL a=1") },
  { name: "unknown", dockerfile: from("FROBNICATE x") },
  { name: "bad-flag", dockerfile: from("COPY --nonsense=1 a b") },
  {
    name: "heredoc-run",
    newer: true,
    dockerfile: from(
      "RUN <<EOF\necho a > /a\necho \"$PATH\" > /b\nEOF\nRUN cat <<'X' > /c && cat <<-Y > /d\n$PATH\nX\n\ttabbed\n\tY\nRUN <<S\n#!/bin/cat\nscript\nS",
    ),
  },
  {
    name: "heredoc-copy",
    newer: true,
    dockerfile: from(
      "ENV V=val\nCOPY <<EOF <<'RAW' /o/\nx $V \"q\"\nEOF\nx $V\nRAW\nCOPY <<one.txt /named\n1\none.txt",
    ),
  },
  {
    name: "copy-newer",
    newer: true,
    files: TREE,
    dockerfile: from(
      "COPY --chmod=600 a.txt /o/\nCOPY --link b.txt /o/\nCOPY --exclude=sub --exclude=l* d /p\nCOPY --parents d/sub/two a.txt /q/\nCOPY --chown=web --chmod=0750 d /r",
    ),
  },
  {
    name: "run-mounts",
    newer: true,
    files: TREE,
    dockerfile: from(
      "RUN --mount=type=bind,target=/ctx cat /ctx/a.txt > /got\nRUN --mount=type=cache,target=/c echo 1 >> /c/n\nRUN --mount=type=cache,target=/c test -s /c/n && touch /kept\nRUN --mount=type=tmpfs,target=/t touch /t/x\nRUN --network=none test ! -e /sys/class/net/eth0\nRUN --mount=type=secret,id=x true",
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
