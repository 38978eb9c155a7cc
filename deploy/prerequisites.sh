#!/usr/bin/env bash
# Installs what a fresh Debian 12 with Rust and git lacks for building and testing the hub.
#
# Looks for each tool, installs only the packages of those that are missing, and does nothing when all is there.
# Without the right to install it prints the exact line to run, and fails.
set -euo pipefail

missing=()

# need PACKAGES COMMAND...: the packages are missing if the command fails.
need() {
    local packages=$1
    shift
    "$@" >/dev/null 2>&1 || missing+=("$packages")
}

compiles() {
    printf '#include <stdio.h>\nint main(void) { return 0; }\n' | cc -x c - -o /dev/null
}

need "gcc libc6-dev" compiles                                  # ring and the bundled SQLite are C
need "make" command -v make
need "python3 python3-venv" python3 -c 'import ensurepip, venv'  # peers: hl7, hl7apy
need "nodejs npm" sh -c 'command -v node && command -v npm'      # peer: node-hl7-client
need "openjdk-17-jdk-headless" command -v javac                  # peer: HAPI
need "maven" command -v mvn
need "strace" command -v strace                                  # makes fsync fail
PATH=$PATH:/usr/sbin:/sbin need "e2fsprogs" command -v mkfs.ext4 # power cuts

[ ${#missing[@]} -gt 0 ] || exit 0

# shellcheck disable=SC2206 # the packages of one tool are several words
packages=(${missing[*]})
install="apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends ${packages[*]}"

if ! command -v apt-get >/dev/null; then
    printf 'This is not Debian. Install what these packages bring, then run again:\n    %s\n' "${packages[*]}" >&2
    exit 1
elif [ "$(id -u)" -eq 0 ]; then
    echo "Installing: ${packages[*]}"
    sh -c "$install"
elif sudo --non-interactive true 2>/dev/null; then
    echo "Installing with sudo: ${packages[*]}"
    sudo sh -c "$install"
else
    printf 'Missing, and not allowed to install. Run this, then try again:\n    sudo sh -c %q\n' "$install" >&2
    exit 1
fi
