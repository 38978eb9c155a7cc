#!/usr/bin/env bash
# Fetches and builds the foreign peers under target/peers, and does nothing when they are as their sources say.
#
# Exact versions come from tests/peers/*/{requirements.txt,package-lock.json,pom.xml}. A peer that cannot be
# made is an error: without it the tests would say nothing about how others read us.
set -euo pipefail
cd "$(dirname "$0")/../.."

sources=tests/peers
built=${CARGO_TARGET_DIR:-target}/peers
mkdir -p "$built"

exec 9>"$built/lock"
flock 9

# fresh NAME FILE...: true if NAME was made from exactly these files.
fresh() {
    local name=$1
    shift
    [ "$(cat "$built/$name.made-from" 2>/dev/null)" = "$(cat "$@" | sha256sum)" ]
}

made() {
    local name=$1
    shift
    cat "$@" | sha256sum >"$built/$name.made-from"
}

python_from=("$sources/python/requirements.txt")
if ! fresh python "${python_from[@]}"; then
    rm -rf "$built/python"
    python3 -m venv "$built/python"
    "$built/python/bin/pip" install --quiet --requirement "${python_from[0]}"
    made python "${python_from[@]}"
fi

node_from=("$sources/node/package.json" "$sources/node/package-lock.json")
if ! fresh node "${node_from[@]}"; then
    rm -rf "$built/node"
    mkdir -p "$built/node"
    cp "${node_from[@]}" "$built/node"
    npm ci --prefix "$built/node" --no-audit --no-fund --loglevel=error
    made node "${node_from[@]}"
fi

# java NAME: the classes of a folder of sources, and the libraries that its pom names.
java() {
    local name=$1
    local from=("$sources/$name/pom.xml" "$sources/$name"/src/main/java/*.java)
    if ! fresh "$name" "${from[@]}"; then
        rm -rf "${built:?}/$name"
        mvn --quiet --batch-mode -Dstyle.color=never --file "${from[0]}" "-Dpeers.built=$(realpath "$built")/$name" \
            compile dependency:copy-dependencies -DincludeScope=runtime
        made "$name" "${from[@]}"
    fi
}

java java
java java-fhir
