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
for folder in "${folders[@]}"; do
    for target in $(cargo fuzz list --fuzz-dir "$folder"); do
        echo "== $folder $target, $seconds s"
        cargo fuzz run --fuzz-dir "$folder" --target-dir target/fuzz "$target" -- \
            -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1
    done
done
