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
    difference: /[Ii]nvalid filter '/,
    command: /nonsense|=abc|label!|until=1h/,
  },
  {
    reason: "Words of filters",
    difference: /[Uu]nrecogni[sz]ed filter value for health: nonsense$/,
    command: /health=nonsense/,
  },
  {
    reason: "Bad input is answered by 400",
    difference: /^(docker|skein) out: (status [45]00|[45]00$|\.message = )/,
    command:
      /^api (POST \/containers\/create( '\{')?$|GET '\/(containers\/json\?(filters|limit)|events\?since)=)/,
  },
  {
    reason: "Bad input is answered by 400",
    difference: /^(docker|skein) out: (status [45]00|[45]00$|\.message = )/,
    command:
      /^(api|put) .*( '\{'| '\[\]'|filters=garbage|=nonsense|=abc|y":"a"|"nonsense"\}|=BAD|(repo|Image)=)/,
  },
  {
    reason: "Bad input is answered by 400",
    difference: /^(docker|skein) out: (status [45]00|[45]00$|\.message = )/,
    command:
      /^api POST '?\/build'?( |\?remote)|^curl .*\/v1\.41\/build'$|^put in\.tar 'cx\/archive\?path=\/d\/one/,
  },
  {
    reason: "Names that are none",
    difference: /out: \.message = "(no such image: BAD: )?invalid reference format/,
    command: /^api .*(BAD|repo=)/,
  },
  {
    reason: "Volumes are told of once",
    difference:
      /^docker out: (.*volume create|create|\[".Action = \\?"create)|^skein out: <TIME> volume mount/,
    command: /^docker events|^api GET "\/events/,
  },
  {
    reason: "Loopback by IPv6",
    difference: /out: \.InsecureRegistryCIDRs\[\d\] = /,
    command: /RegistryConfig/,
  },
  {
    reason: "The profile of seccomp is built in",
    difference: /out: \[0\] = "name=seccomp,profile=(default|builtin)"$/,
    command: /SecurityOptions/,
  },
  { reason: "The ping tells the builder", difference: /^skein out: Swarm: inactive$/, command: /_ping/ },
  {
    reason: "Words of content types",
    difference: /out: \.message = "(Content-Type specified|unsupported Content-Type header) /,
    command: /^curl .*containers\/create$/,
  },
  {
    reason: "Images by age",
    difference: /Invalid filter 'until'|^skein out: (box|lab|two)$|^docker out: $/,
    command: /^docker images --filter until=/,
  },
  {
    reason: "A push without credentials",
    difference: /^(docker out: 400|skein out: 200)$/,
    command: /\/push\?tag=one/,
  },
  {
    reason: "An import has the platform asked for",
    difference: /out: linux\/(amd64|arm64)$/,
    command: /imp:arm/,
  },
  {
    reason: "Saved images are OCI layouts",
    difference: /out: [23]$/,
    command: /^docker save ar \| tar tf/,
  },
  {
    reason: "Kernel memory has no limit",
    difference: /out: WARNING: (Specifying a kernel memory limit|KernelMemory)/,
    command: /--kernel-memory/,
  },
  { reason: "Words of bad options", difference: /[Ii]nvalid isolation/ },
  { reason: "Words of bad options", difference: /cpu real-time runtime|cpu\.rt_runtime_us/ },
  { reason: "Words of bad options", difference: /CPU shares|shares: invalid argument/ },
  { reason: "Words of bad options", difference: /[Ii]nvalid network mode: / },
  { reason: "Words of bad options", difference: /io\.containerd\.nonsense/ },
  { reason: "Words of bad options", difference: /[Cc]onfig cannot be empty/ },
  {
    reason: "Words of bad options",
    difference: /sysctl 'kernel\.msgmax'|sysctl "kernel\.(msgmax|domainname)"/,
  },
  { reason: "Words of bad options", difference: /domainname and the UTS mode/ },
  { reason: "Words of bad options", difference: /path ?cannot be empty/ },
  { reason: "Words of bad options", difference: /template: log-tag/ },
  { reason: "Words of bad options", difference: /uids and gids/ },
  {
    reason: "Links set no environment",
    difference: /^docker out: (DATA|DB)_NAME=|^skein out: $/,
    command: /grep -E '\^\(DB\|DATA\)_'/,
  },
  {
    reason: "Words of restart policies",
    difference: /err: Error response from daemon: (invalid restart policy|maximum retry count)/,
    command: /--restart (nonsense|always:5)/,
  },
  {
    reason: "Wait tells of no error where there was none",
    difference: /^docker out: \.Error = null$/,
    command: /\/wait/,
  },
  {
    reason: "Networks tell whether they have IPv4",
    difference: /^skein out: (\[0\])?\.EnableIPv4 = true$|"IPv4":"(true|false)"/,
    command: /networks|network ls/,
  },
  {
    reason: "Internal networks have no way out",
    difference: /^(exit code: docker 0, skein 1|docker out: 1|skein out: 0)$/,
    command: /--network five .*grep -c default/,
  },
  {
    reason: "Words of addresses and ports",
    difference:
      /invalid IPv4 address: nonsense|supported only when connecting to networks|does not belong to any/,
    command: /--ip6? (nonsense|fd00::1) b c1$/,
  },
  {
    reason: "Words of addresses and ports",
    difference: /bridge interface existence|bridge\.name must be 1 to 15/,
    command: /name-that-is-too-long/,
  },
  {
    reason: "Words of addresses and ports",
    difference: /driver failed programming external connectivity .*(cannot assign requested address)$/,
    command: /-p 1\.2\.3\.4/,
  },
  {
    reason: "Words of the Dockerfile",
    difference: /ADD requires at least two arguments/,
    command: /\nADD\n/,
  },
  {
    reason: "An exec of a container that does not run",
    difference: /^(docker|skein) out: (status (500|409)|\.message = "[Cc]ontainer <ID64> is not running)/,
    command: /\/exec\/\$E\/start/,
  },
  {
    reason: "The oldest API version is 1.24",
    difference: /client version 1\.10 is too old/,
    command: /v1\.10/,
  },
  { reason: "The ping tells the builder", difference: /^skein out: Builder-Version: 1$/, command: /_ping/ },
  {
    reason: "Images that are not there",
    difference: /(err: Error response from daemon: |\.message = ")(no such image: \S+ )?No such image: \S+$/,
    command: /inspect|\/images\/nothing\/json/,
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
    command: /^docker exec (-w '' )?cx (nothing-here|pwd|'')$/,
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
  {
    reason: "Copying into a container reads the archive itself",
    difference:
      /out: (status [45]00|\.message = "(Error processing tar file.*)?cannot overwrite non-directory)/,
    command: /noOverwriteDirNonDir=1'$/,
  },
  {
    reason: "Copying into a container reads the archive itself",
    difference: /: lstat (<PATH>|\/d\/one\/): not a directory$/,
    command: /^docker cp cx:\/d\/one\/ x$/,
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
    difference: /^(docker out: (status )?500|skein out: (status )?503)$/,
    command: /GET \/distribution\/localhost:1\/|127\.0\.0\.1:5999/,
  },
  {
    reason: "An unreachable registry",
    difference: /(out|nothing): (Get "https:\/\/registry-1\.docker\.io\/v2\/"|request to registry-1\.docker)/,
  },
  {
    reason: "A platform that is not there",
    difference: /err: no matching manifest for linux\/\w+ in the manifest list entries/,
  },
  {
    reason: "A platform that is not there",
    difference:
      /^skein out: .*WARNING: image with reference \S+ was found but does not match the specified platform/,
  },
  {
    reason: "A build's platform counts",
    difference: anyOf(
      /^docker out: +---> Using cache$/,
      /^skein out: (both: Pulling from |<ID12>: |Digest: |Status: Downloaded newer)/,
      /^skein out: ( +---> Running in |Removing intermediate)/,
      /"word":"(one|arm)"/,
    ),
    command: /^build --platform linux\/arm64|Architecture\}\} \{\{json \.Config\.Labels\}\}' built$/,
  },
  {
    reason: "What a container uses is not pruned",
    difference:
      /exit code: docker 0, skein 1|Deleted Images:|untagged: |^skein out: (box:latest)?$|^docker out: $/,
    command: /prune -a -f|^docker images --format/,
  },
  {
    reason: "Drivers that are there",
    difference: /out: \.(Log|Network)\[\d+\] = /,
    command: /\.Plugins/,
  },
  {
    reason: "Drivers that are there",
    difference: /err: Error response from daemon: (invalid subinterface vlan name|network driver "macvlan")/,
    command: /-d macvlan/,
  },
  {
    reason: "Words of broken archives",
    difference:
      /err: (open <PATH>: no such file|invalid character|the archive has |manifest\.json of the archive)/,
    command: /docker load/,
  },
  {
    reason: "Attach refuses in JSON",
    difference:
      /out: (\.message = ")?(No such container: nothing|Invalid detach keys|[Cc]ontainer \S+ is paused)/,
    command: /\/attach\?/,
  },
  {
    reason: "The root of a container is made at its first start",
    difference: anyOf(
      /No such (container|object): badwd$/,
      /Cannot mkdir: \/etc\/motto\/x/,
      /exit code: docker 1, skein 0|^docker out: $|^skein out: created 128$/,
    ),
    command: /badwd/,
  },
  {
    reason: "The runtime is crun",
    difference:
      /rlimit|exit code: docker 1, skein 0|runc did not terminate|^(skein|docker) out: (cu)?$|: unknown$/,
    command: /--ulimit nofile=-1|docker update --cpu-shares 1 cu/,
  },
  {
    reason: "Updates are checked against the container",
    difference:
      /exit code: docker 0, skein 1|^docker out: cu$|^skein out: $|Minimum memory limit can not be less/,
    command: /^docker update --(memory-reservation 96m|cpu-rt-runtime 100) cu$/,
  },
  {
    reason: "Updates are checked against the container",
    difference: /out: 67108864 -1 (100663296|33554432)$/,
  },
  {
    reason: "A profile of AppArmor that cannot be given",
    difference: /out: [03]$/,
    command: /apparmor=nothing/,
  },
  {
    reason: "Containers never wait for their log driver",
    difference: /^skein err: WARNING: log option (mode|max-buffer-size) has no effect/,
  },
  {
    reason: "Log options are checked first",
    difference: /max-file cannot be less than 1|strconv\.ParseBool: parsing "nonsense"/,
    command: /--log-opt (max-file=0|compress=nonsense)/,
  },
  {
    reason: "Networks in use do not dangle",
    difference: /^(docker|skein) out: n1$|invalid (value for )?filter 'dangling/,
    command: /network ls -f dangling/,
  },
  {
    reason: "No network is for life",
    difference: /exit code: docker 0, skein 1|with one of the networks in private \(none\) mode/,
    command: /disconnect none c5$/,
  },
  {
    reason: "Scopes of networks",
    difference: /This node is not a swarm manager|scope "nonsense"/,
    command: /--scope nonsense/,
  },
  {
    reason: "Security options of builds",
    difference: /setting security options on build|error reading securityopt/,
    command: /--security-opt nonsense/,
  },
  {
    reason: "Trailing slashes are passed over",
    difference: /^(docker out: 404|skein out: 200)$/,
    command: /GET \/info\/ /,
  },
  { reason: "The version of the distribution", difference: /Debian GNU\/Linux/, command: /\.OSVersion/ },
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

function anyOf(...patterns: readonly RegExp[]): RegExp {
  return new RegExp(patterns.map(({ source }) => source).join("|"));
}
