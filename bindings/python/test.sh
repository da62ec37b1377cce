#!/usr/bin/env bash
# Builds the package beside its sources and runs its tests. Needs CPython 3.11 or newer with pytest (PYTHON names
# it); without them it says so and ends well, so that CI can call it anywhere.
#   bindings/python/test.sh            # debug build
#   bindings/python/test.sh --release  # and any further arguments go to pytest
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

PYTHON="${PYTHON:-python3}"
if ! "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
  echo "skipped: no CPython 3.11 or newer as '$PYTHON' (set PYTHON)"
  exit 0
fi
if ! "$PYTHON" -c 'import pytest' 2>/dev/null; then
  echo "skipped: '$PYTHON' has no pytest (pip install pytest)"
  exit 0
fi

profile=debug
flags=()
if [ "${1:-}" = "--release" ]; then
  profile=release
  flags+=(--release)
  shift
fi
# One folder for both workspaces: what is common is compiled once.
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$(cd ../.. && pwd)/target}"
cargo fmt --check
cargo clippy --quiet -- -D warnings
cargo build --quiet "${flags[@]}"

# The package as it would be installed, in a folder of its own.
package="$CARGO_TARGET_DIR/$profile/python"
rm -rf "$package"
mkdir -p "$package"
cp -R python/mynah "$package/mynah"
case "$(uname -s)" in
  Darwin) built=lib_native.dylib ;;
  *) built=lib_native.so ;;
esac
cp "$CARGO_TARGET_DIR/$profile/$built" "$package/mynah/_native.abi3.so"
# The program, where it is built, reads what Python wrote.
if [ -z "${MYNAH_BIN:-}" ] && [ -x "$CARGO_TARGET_DIR/$profile/mynah" ]; then
  export MYNAH_BIN="$CARGO_TARGET_DIR/$profile/mynah"
fi
PYTHONPATH="$package" "$PYTHON" -m pytest -p no:cacheprovider "$@"
