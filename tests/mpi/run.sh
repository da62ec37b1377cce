#!/usr/bin/env bash
# Updates among the ranks of MPI jobs: everybody takes it, some do, one vetoes, one is killed.
# Needs mpicc and mpirun; prints `skipped` where there are none.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

if ! command -v mpirun >/dev/null || ! command -v "${MPICC:-mpicc}" >/dev/null; then
  echo "no mpirun and mpicc here: skipped"
  exit 0
fi
export CARGO_INCREMENTAL=0
mynah="${MYNAH:-}"
if [ -z "$mynah" ]; then
  cargo build --quiet -p mynah-cli --features mpi
  mynah=target/debug/mynah
fi

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export MYNAH_HOME="$folder/home"
# More ranks than cores, and as any user: this is a test.
job=(mpirun --oversubscribe)
[ "$(id -u)" = 0 ] && job+=(--allow-run-as-root)

fail() { echo "FAILED: $1"; [ -f "$folder/said" ] && cat "$folder/said"; exit 1; }

# Three versions of a checkpoint of one tensor of 4 MiB.
python=${PYTHON:-python3}
"$python" - "$folder" <<'PY'
import json, os, struct, sys
header = json.dumps({"weight": {"dtype": "BF16", "shape": [1024, 2048], "data_offsets": [0, 4 << 20]}}).encode()
for version in (1, 2, 3):
    data = bytearray(b"\x11\x3f" * (2 << 20))
    for place in range(0, len(data), 997):
        data[place] = (version * 31 + place) % 251 if version > 1 else data[place]
    os.makedirs(f"{sys.argv[1]}/v{version}")
    with open(f"{sys.argv[1]}/v{version}/model.safetensors", "wb") as out:
        out.write(struct.pack("<Q", len(header)) + header + data)
PY
"$mynah" weights manifest "$folder/v1" --model toy --chunk-bytes 65536 --out "$folder/v1.manifest" >/dev/null

ranks() {
  rm -rf "$folder/ranks"
  for rank in $(seq 0 $(($1 - 1))); do
    mkdir -p "$folder/ranks/rank-$rank"
    cp "$folder/v1/model.safetensors" "$folder/ranks/rank-$rank/"
    cp "$folder/v1.manifest" "$folder/ranks/rank-$rank/weights.manifest"
  done
}
is_at() { cmp -s "$folder/v$2/model.safetensors" "$folder/ranks/rank-$1/live/model.safetensors" || fail "rank $1 is not at version $2 ($3)"; }
update() {
  local count=$1
  shift
  timeout 60 "${job[@]}" -n "$count" "$mynah" weights agent --mpi --dir "$folder/ranks" --lease-ms 2000 \
    --bucket-bytes 131072 --threads 1 "$@" >"$folder/said" 2>&1
}

ranks 4
update 4 --from "$folder/v2" --base "$folder/v1" || fail "four ranks"
for rank in 0 1 2 3; do is_at $rank 2 "four ranks"; done
echo "four ranks take a delta"
update 4 --from "$folder/v3" || fail "without the base"
for rank in 0 1 2 3; do is_at $rank 3 "without the base"; done
echo "four ranks take whole chunks"
update 4 --rollback || fail "rollback"
for rank in 0 1 2 3; do is_at $rank 2 "rollback"; done
echo "four ranks go back"

ranks 3
update 3 --from "$folder/v2" --base "$folder/v1" --consumers 0,1 || fail "consumers 0 and 1 of 3"
for rank in 0 1; do is_at $rank 2 "consumers"; done
echo "consumers 0 and 1 of 3 ranks end"

ranks 3
update 3 || fail "nothing to do"
# One byte of one rank's weights.
printf '\x77' | dd of="$folder/ranks/rank-2/live/model.safetensors" bs=1 seek=3000000 conv=notrunc status=none
update 3 --from "$folder/v2" --base "$folder/v1" && fail "a damaged buffer was not noticed"
grep -q "rank 2" "$folder/said" || fail "rank 2 is not named"
for rank in 0 1; do is_at $rank 1 "veto"; done
echo "a damaged buffer is vetoed by its rank"

# A rank that dies: the job ends in seconds, and the next one finds everybody as they were.
ranks 3
mv "$folder/ranks/rank-1" "$folder/aside"
start=$SECONDS
update 3 --from "$folder/v2" --base "$folder/v1" && fail "a dead rank was not noticed"
[ $((SECONDS - start)) -lt 30 ] || fail "a dead rank kept the others waiting"
grep -q "no checkpoint" "$folder/said" || fail "the dead rank does not say why"
rm -rf "$folder/ranks/rank-1"
mv "$folder/aside" "$folder/ranks/rank-1"
update 3 --from "$folder/v2" --base "$folder/v1" || fail "after a dead rank"
for rank in 0 1 2; do is_at $rank 2 "after a dead rank"; done
echo "a dead rank is an error in seconds"
echo "all green"
