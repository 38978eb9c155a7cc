#!/usr/bin/env bash
# Runs every fuzz target of the workspace for SECONDS each, on the stable toolchain. Fails at the first finding.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-60}

# The compiler's own instrumentation is behind a nightly flag; this allows it on the toolchain that builds the hub.
export RUSTC_BOOTSTRAP=1

mapfile -t folders < <(find . -path ./target -prune -o -type d -name fuzz_targets -printf '%h\n' | sort)
if [ ${#folders[@]} -eq 0 ]; then
    echo "there is no fuzz target" >&2
    exit 1
fi

# Where each target begins; what it finds interesting stays in target/fuzz-corpus.
seeds_of() {
    case $1 in
    frame | message | escape) echo adapters/tests/fixtures/hl7v2 tests/fixtures/hl7v2 ;;
    routes) echo target/fuzz-seeds/routes ;;
    mapping) echo mappings ;;
    esac
}
mkdir -p target/fuzz-seeds/routes
cp routes.toml target/fuzz-seeds/routes/shipped.toml
cp tests/bench/routes.toml target/fuzz-seeds/routes/bench.toml

for folder in "${folders[@]}"; do
    for target in $(cargo fuzz list --fuzz-dir "$folder"); do
        echo "== $folder $target, $seconds s"
        mkdir -p "target/fuzz-corpus/$target"
        # shellcheck disable=SC2046 # several folders
        TMPDIR=/dev/shm cargo fuzz run --fuzz-dir "$folder" --target-dir target/fuzz "$target" \
            "target/fuzz-corpus/$target" $(seeds_of "$target") -- \
            -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1
    done
done
