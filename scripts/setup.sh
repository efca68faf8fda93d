# shellcheck shell=bash
# Sourced by the other scripts: installs what is missing on Debian or Ubuntu, then builds. Needs root and Node 20 or newer.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { printf '\033[1m==>\033[0m %s\n' "$*"; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

[ "$(id -u)" = 0 ] || die "this needs root: containers, namespaces and nftables are made for real"
command -v node >/dev/null || die "Node.js 20 or newer is needed; see https://nodejs.org"
node -e 'const [major, minor] = process.versions.node.split(".").map(Number); process.exit(major > 20 || (major === 20 && minor >= 15) ? 0 : 1)' ||
  die "Node.js 20.15 or newer is needed, found $(node --version)"
command -v npm >/dev/null || die "npm is needed; it comes with Node.js from https://nodejs.org"

# install_packages PACKAGE…: those not installed yet, by apt, updating the lists only when needed.
install_packages() {
  local missing=() package
  for package in "$@"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  command -v apt-get >/dev/null || die "please install by hand: ${missing[*]}"
  say "installing ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  # Some packages start their daemon when installed; ours starts only what it needs itself. In a shell of its own,
  # so that the policy goes also when this is interrupted: left behind, it would keep later packages from starting.
  (
    log=$(mktemp) policy=/usr/sbin/policy-rc.d made_policy=0
    trap '[ $made_policy = 0 ] || rm -f "$policy"; rm -f "$log"' EXIT
    trap 'exit 130' INT TERM
    if [ ! -e "$policy" ]; then made_policy=1; printf '#!/bin/sh\nexit 101\n' >"$policy"; chmod 755 "$policy"; fi
    install() { apt-get install -y -qq --no-install-recommends "${missing[@]}" >"$log" 2>&1; }
    install || { apt-get update -qq >/dev/null 2>&1; install; } ||
      { cat "$log" >&2; die "apt could not install ${missing[*]}"; }
  )
}

# crun, or the runc that is there already, or the only one that apt has.
install_runtime() {
  local runtime=()
  if ! command -v crun >/dev/null && ! command -v runc >/dev/null; then
    runtime=(crun)
    if command -v apt-cache >/dev/null && ! apt-cache show crun >/dev/null 2>&1; then
      apt-get update -qq >/dev/null 2>&1 || true # a new machine has no lists yet
      apt-cache show crun >/dev/null 2>&1 || runtime=(runc)
    fi
  fi
  # tini: what `docker run --init` puts before the command
  install_packages "${runtime[@]}" conmon nftables iproute2 ca-certificates tini
}

build() {
  if [ ! -d node_modules ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then
    say "installing the npm packages"
    npm ci --no-audit --no-fund --loglevel=error
  fi
  say "building"
  npm run --silent build
}
