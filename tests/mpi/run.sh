#!/usr/bin/env bash
# Updates among the ranks of MPI jobs: everybody takes it, some do, one vetoes, one is killed.
# Needs mpicc and mpirun; prints `skipped` where there are none.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

if ! command -v mpirun >/dev/null || ! command -v "${MPICC:-mpicc}" >/dev/null; then
  echo "no mpirun and mpicc here: skipped"
  exit 0
fi
cargo build --quiet -p mynah-mpi --features mpi --example mpi_update
cargo build --quiet -p mynah-cli --features mpi
program=target/debug/examples/mpi_update

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
# More ranks than cores, and as any user: this is a test.
job=(mpirun --oversubscribe)
if [ "$(id -u)" = 0 ]; then job+=(--allow-run-as-root); fi

fail() {
  echo "FAILED: $1"
  cat "$folder/said"
  exit 1
}
# update RANKS CONSUMERS [DAMAGED]
update() {
  rm -rf "$folder/job"
  mkdir "$folder/job"
  timeout 60 "${job[@]}" -n "$1" "$program" "$folder/job" "${@:2}" >"$folder/said" 2>&1
}
# The weights behind the files' headers, whose fields have no order.
weights() { tail -c 4194304 "$1/model.safetensors"; }
has_new() { cmp -s <(weights "$folder/job/new") <(weights "$folder/job/rank-$1/live"); }

update 4 0,1,2,3 || fail "four ranks"
for rank in 0 1 2 3; do has_new $rank || fail "rank $rank has not the new version"; done
echo "four ranks take a version"

# The same as people start it: back, and forward again.
agents() {
  timeout 60 "${job[@]}" -n 4 target/debug/mynah weights agent --mpi --dir "$folder/job" "$@" >"$folder/said" 2>&1
}
agents --rollback || fail "the way back"
for rank in 0 1 2 3; do ! has_new $rank || fail "rank $rank did not go back"; done
# A manifest names its epoch; without one the next is taken.
rm "$folder/job/new/weights.manifest"
agents --from "$folder/job/new" || fail "the way forward"
for rank in 0 1 2 3; do has_new $rank || fail "rank $rank has not the new version"; done
echo "mynah weights agent --mpi goes back and forward"

update 3 0,1 || fail "consumers 0 and 1 of 3"
for rank in 0 1; do has_new $rank || fail "rank $rank has not the new version"; done
echo "consumers 0 and 1 of 3 ranks end"

update 3 1,2 || fail "consumers 1 and 2 of 3"
for rank in 1 2; do has_new $rank || fail "rank $rank has not the new version"; done
echo "consumers 1 and 2 of 3 ranks end"

update 3 0,1,2 1 || fail "a veto"
grep -q "no consumer takes it: rank 1 vetoed: chunk 63 of weight" "$folder/said" || fail "rank 1 does not veto"
for rank in 0 1 2; do ! has_new $rank || fail "rank $rank took what rank 1 had vetoed"; done
echo "a damaged buffer is vetoed by its rank, and nobody takes the version"

start=$SECONDS
update 3 0,1,2 &
waiting=$!
victim=""
while [ -z "$victim" ] && kill -0 "$waiting" 2>/dev/null; do
  # Only the ranks of this job have its folder on their command line, and mpirun's own name first otherwise.
  victim=$(pgrep -f "^$program $folder/job" | tail -1 || true)
done
[ -n "$victim" ] || fail "no rank to kill"
kill -9 "$victim"
if wait "$waiting"; then fail "a killed rank was not noticed"; fi
[ $((SECONDS - start)) -lt 30 ] || fail "a killed rank kept the others waiting"
echo "a killed rank is an error in seconds"
echo "all green"
