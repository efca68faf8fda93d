/**
 * Differences from Docker 20.10 that are meant, with the reason. Pure (a table).
 * docs/compat.md tells the same in words.
 */

export interface Explanation {
  /** Heading in docs/compat.md. */
  readonly reason: string;
  readonly difference: RegExp;
  /** Only in steps that match; absent: in all. */
  readonly command?: RegExp;
}

/** Newer Docker answers so. */
const NEWER: readonly Explanation[] = [
  {
    reason: "Words of filters",
    difference: /[Ii]nvalid filter '(nonsense|status=nonsense)'/,
    command: /nonsense/,
  },
  {
    reason: "Words of filters",
    difference: /[Uu]nrecogni[sz]ed filter value for health: nonsense$/,
    command: /health=nonsense/,
  },
  {
    reason: "Bad input is answered by 400",
    difference: /^(docker|skein) out: (status [45]00|\.message = )/,
    command:
      /^api (POST \/containers\/create( '\{')?$|GET '\/(containers\/json\?(filters|limit)|events\?since)=)/,
  },
  {
    reason: "The oldest API version is 1.24",
    difference: /client version 1\.10 is too old/,
    command: /v1\.10/,
  },
  { reason: "The ping tells the builder", difference: /^skein out: Builder-Version: 1$/, command: /_ping/ },
  {
    reason: "Images that are not there",
    difference: /err: Error response from daemon: (no such image: nothing\S* )?No such image: nothing:\w+$/,
    command: /inspect/,
  },
  {
    reason: "Words of kill",
    difference: /^(docker|skein) err: Error response from daemon: [Cc]annot kill container: /,
    command: /^docker kill /,
  },
  {
    reason: "Words of restart policies",
    difference: /err: docker: Error response from daemon: (invalid restart policy|maximum retry count)/,
    command: /^docker run --restart /,
  },
  {
    reason: "Words of bad options",
    difference: /[Ii]nvalid IPC mode: nonsense$/,
    command: /--ipc nonsense/,
  },
  {
    reason: "Words of bad options",
    difference: /(Unknown runtime specified|unknown or invalid runtime name:) nonsense$/,
    command: /--runtime nonsense/,
  },
  {
    reason: "Words of bad options",
    difference: /sysctl .net\.ipv4\.ip_forward. not allowed in host network namespace/,
    command: /--network host --sysctl/,
  },
  {
    reason: "Wait refuses unknown conditions",
    difference:
      /out: (\.Error = null|\.StatusCode = 5|status [24]00|\.message = "invalid condition: \\"nonsense\\"")$/,
    command: /wait\?condition=nonsense/,
  },
  {
    reason: "More paths are masked",
    difference: /out: \[0\]\.HostConfig\.MaskedPaths\[\d+\] = "\/(proc|sys)\//,
    command: /^docker inspect/,
  },
  {
    reason: "More paths are masked",
    difference: /^(docker|skein) out: .MaskedPaths\[\d+\] = "\/(proc|sys)\//,
    command: /HostConfig/,
  },
  { reason: "More paths are masked", difference: /out: [78]$/, command: /mount \| grep -c "on \/proc\/"/ },
  {
    reason: "A command that is not there ends exec with 127",
    difference: /^exit code: docker 126, skein 127$/,
    command: /^docker exec cx nothing-here$/,
  },
  {
    reason: "The event die tells the duration",
    difference: /^(docker|skein) out: (\["?)?\.(execDuration|exitCode|image|k|name) = /,
    command: /event=die/,
  },
  {
    reason: "Networks tell whether they have IPv4",
    difference: /^skein out: \[0\]\.EnableIPv4 = true$/,
    command: /^docker network inspect/,
  },
  {
    reason: "Every container has ::1",
    difference: /^(docker out: 1|skein out: 2)$/,
    command: /--network none box sh -c 'ip addr/,
  },
  {
    reason: "Copying into a container reads the archive itself",
    difference:
      /err: Error response from daemon: (Error processing tar file\(exit status 1\): )?unexpected EOF$/,
    command: /^echo garbage \| docker cp/,
  },
];

/** Other parts below. */
const PARTS: readonly Explanation[] = [
  {
    reason: "The runtime is crun",
    difference: /HostConfig\.Runtime = "(runc|crun)"$|\.Runtime = "(runc|crun)"$/,
    command: /inspect/,
  },
  { reason: "The runtime is crun", difference: /out: 0 1 \d+ (runc|crun) [12]$/, command: /DefaultRuntime/ },
  { reason: "The runtime is crun", difference: /^skein out: core$/, command: /ls \/dev / },
  {
    reason: "The runtime is crun",
    difference: /out: \/(proc|sys)\/[\w/]+ (tmpfs|devtmpfs|\(r[ow],.*\))$/,
    command: /mount \| grep .*cut -d" "/,
  },
  {
    reason: "The default bridge is skein0",
    difference: /com\.docker\.network\.bridge\.name = "(docker0|skein0)"$/,
  },
  {
    reason: "An unreachable registry",
    difference: /^(docker out: 500|skein out: 503)$/,
    command: /GET \/distribution\/localhost:1\//,
  },
  {
    reason: "An unreachable registry",
    difference:
      /out: (Get "https:\/\/registry-1\.docker\.io\/v2\/"|request to registry-1\.docker\.io failed: )/,
  },
];

/** dockerd 20.10 cannot, on new kernels. */
const CAPABILITIES = /--privileged|--cap-add ALL/;
const MACHINE: readonly Explanation[] = [
  { reason: "All capabilities on new kernels", difference: /unable to apply caps/, command: CAPABILITIES },
  {
    reason: "All capabilities on new kernels",
    difference:
      /^(exit code: docker 12[56], skein 0|skein out: (CapBnd:.*|CapEff:.*|Seccomp:\t0|mounted|many))$/,
    command: CAPABILITIES,
  },
  {
    reason: "All capabilities on new kernels",
    difference: /^docker (out: |err: Run 'docker run --help' for more information)$/,
    command: CAPABILITIES,
  },
];

export const EXPLAINED: readonly Explanation[] = [...NEWER, ...PARTS, ...MACHINE];
