#!/usr/bin/env bash
# Ten minutes of one card: benchmarks/device/run.sh [--carried pictures.tar] [--out DIR] [--rehearse]
# Needs python3 with torch; whatever else it lacks may lie as wheels in benchmarks/device/wheels/.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
PYTHON=${PYTHON:-python3}
site=$(mktemp -d)
trap 'rm -rf "$site"' EXIT
if compgen -G "$here/wheels/*.whl" > /dev/null; then
  "$PYTHON" -m pip install -q --no-index --no-deps --no-compile --target "$site" "$here"/wheels/*.whl
fi
export PYTHONPATH="$root/src:$root/benchmarks:$here:$site${PYTHONPATH:+:$PYTHONPATH}"
export PYTHONUNBUFFERED=1 GOMP_SPINCOUNT=${GOMP_SPINCOUNT:-1000}
"$PYTHON" "$here/main.py" "$@" &
child=$!
trap 'kill -TERM "$child" 2> /dev/null || true' TERM INT
wait "$child" || code=$?
wait "$child" 2> /dev/null || true
rm -rf "$site"
exit "${code:-0}"
