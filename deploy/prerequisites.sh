#!/usr/bin/env bash
# Installs what a fresh Debian 12 with Rust and git lacks for building and testing the hub, the servers included.
#
# Looks for each tool, installs only the packages of those that are missing, and does nothing when all is there.
# Without the right to install it prints the exact line to run, and fails.
set -euo pipefail

# install PACKAGE...: as root. Servers that come with a package would be started by it and at every boot, on their
# default ports; the tests run them otherwise, so those that this call brings stay off. Others are not touched.
install() {
    local policy=/usr/sbin/policy-rc.d unit units=()
    case " $* " in *" postgresql "*) units+=(postgresql) ;; esac
    case " $* " in *" rabbitmq-server "*) units+=(rabbitmq-server) ;; esac
    case " $* " in *" rabbitmq-server "*) [ -e /usr/bin/epmd ] || units+=(epmd.socket epmd) ;; esac
    if [ ${#units[@]} -gt 0 ] && [ ! -e "$policy" ]; then
        # shellcheck disable=SC2064 # expands now, since it is local
        trap "rm -f $policy" EXIT
        printf '#!/bin/sh\n# deploy/prerequisites.sh is installing: nothing starts meanwhile\nexit 101\n' >"$policy"
        chmod 755 "$policy"
    fi
    apt-get update
    DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends "$@"
    for unit in "${units[@]}"; do
        if [ -d /run/systemd/system ]; then
            systemctl disable --now --quiet "$unit" || echo "$unit could not be switched off" >&2
        elif command -v systemctl >/dev/null; then
            systemctl disable --quiet "$unit" || true # not running: it may not be known to a system without systemd
        fi
    done
}

if [ "${1:-}" = --install ]; then
    shift
    install "$@"
    exit
fi

missing=()

# need PACKAGES COMMAND...: the packages are missing if the command fails.
need() {
    local packages=$1
    shift
    "$@" >/dev/null 2>&1 || missing+=("$packages")
}

# compiles HEADER: whether a program that includes it does.
compiles() {
    printf '#include <%s>\nint main(void) { return 0; }\n' "$1" | cc -x c - -o /dev/null
}

postgresql() {
    compgen -G '/usr/lib/postgresql/*/bin/postgres'
}

need "gcc libc6-dev" compiles stdio.h                          # ring and the bundled SQLite are C
need "g++" command -v g++                                        # librdkafka is built here
need "libssl-dev pkg-config" compiles openssl/ssl.h              # librdkafka speaks TLS by OpenSSL
need "pkg-config" command -v pkg-config
need "make" command -v make
need "python3 python3-venv" python3 -c 'import ensurepip, venv'  # peers: hl7, hl7apy
need "nodejs npm" sh -c 'command -v node && command -v npm'      # peer: node-hl7-client
need "openjdk-17-jdk-headless" command -v javac                  # peer: HAPI
need "maven" command -v mvn
need "strace" command -v strace                                  # makes fsync fail
need "openssl" command -v openssl                                # certificates of the servers for tests
need "postgresql" postgresql                                     # deploy/services.sh
need "rabbitmq-server" test -x /usr/lib/rabbitmq/bin/rabbitmq-server # deploy/services.sh
PATH=$PATH:/usr/sbin:/sbin need "e2fsprogs" command -v mkfs.ext4 # power cuts

[ ${#missing[@]} -gt 0 ] || exit 0

# shellcheck disable=SC2206 # the packages of one tool are several words
packages=(${missing[*]})
if ! command -v apt-get >/dev/null; then
    printf 'This is not Debian. Install what these packages bring, then run again:\n    %s\n' "${packages[*]}" >&2
    exit 1
elif [ "$(id -u)" -eq 0 ]; then
    echo "Installing: ${packages[*]}"
    install "${packages[@]}"
elif sudo --non-interactive true 2>/dev/null; then
    echo "Installing with sudo: ${packages[*]}"
    sudo "$0" --install "${packages[@]}"
else
    printf 'Missing, and not allowed to install. Run this, then try again:\n    sudo %q --install %s\n' "$0" "${packages[*]}" >&2
    exit 1
fi
