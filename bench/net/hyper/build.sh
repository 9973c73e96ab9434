#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Builds the hyper peer of the comparison from Debian's crates, without a network. It prints the path of the binary;
# where cargo or a crate is missing it says which packages bring them and exits with 77.
#
# Usage: bench/net/hyper/build.sh [FOLDER]      (build-hyper in the root of the project)
set -eu

crates=${CRATES:-/usr/share/cargo/registry}
packages='cargo rustc librust-hyper-dev librust-tokio-dev librust-serde-json-dev librust-serde-derive-dev'
here=$(cd "$(dirname "$0")" && pwd)
out=${1:-$here/../../../build-hyper}

missing() { echo "hyper: $1; on Debian: apt-get install $packages" >&2; exit 77; }

# Debian's own compiler where it is there: it is the one that these crates were packaged for.
cargo=/usr/bin/cargo
rustc=/usr/bin/rustc
[ -x "$cargo" ] || cargo=$(command -v cargo) || missing "no cargo"
[ -x "$rustc" ] || rustc=$(command -v rustc) || missing "no rustc"
for crate in hyper-0.14 tokio-1 serde_json-1 serde_derive-1; do
    ls -d "$crates/$crate".* >/dev/null 2>&1 || missing "no crate $crate in $crates"
done

# Outside the tree: cargo writes its lock beside the manifest, and finds configuration by the folder it runs in.
mkdir -p "$out/peer/src" "$out/peer/.cargo" "$out/home"
cp -p "$here/Cargo.toml" "$out/peer/"
cp -p "$here/src/main.rs" "$out/peer/src/"
cat >"$out/peer/.cargo/config.toml" <<EOF
[source.crates-io]
replace-with = "debian"
[source.debian]
directory = "$crates"
EOF
cd "$out/peer"
if ! CARGO_HOME="$out/home" RUSTC="$rustc" CARGO_TARGET_DIR="$out" "$cargo" build --release --offline --quiet \
    >"$out/build.log" 2>&1; then
    tail -n 20 "$out/build.log" >&2
    missing "the build failed, see $out/build.log"
fi
echo "$(cd "$out" && pwd)/release/hyper-peer"
