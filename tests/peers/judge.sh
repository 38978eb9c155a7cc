#!/usr/bin/env bash
# Judges files by hand, as the tests judge what the mappings emit: tests/peers/judge.sh FILE...
#
# A file is a FHIR R4 resource or bundle, an HL7 v2 message, or what `hub explain FILE --mapping NAME --json --reveal`
# printed, of which the outputs are judged; `-` is standard input. Each issue is a line: file, judge, severity, place,
# message. Ends with 1 if a judge refuses something. Warnings and what is tolerated are shown with --all.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
"$here/prepare.sh"
exec python3 "$here/judge_files.py" "$(cd "$here/../.." && realpath "${CARGO_TARGET_DIR:-target}")/peers" "$@"
