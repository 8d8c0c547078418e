#!/usr/bin/env bash
# Makes .venv from pyproject.toml with the exact versions of constraints.txt, or finds it made already.
# Safe to interrupt at any moment: what is not stamped as complete is done again.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

fail() {
    printf 'setup: %s\n' "$1" >&2
    exit 1
}

find_python() {
    local name
    for name in ${PYTHON:-python3 python3.13 python3.12 python3.11}; do
        if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$name"
            return
        fi
    done
    fail "Python 3.11 or newer is needed and was not found as ${PYTHON:-python3} (set PYTHON to name one)"
}

find_compiler() {
    local name
    for name in ${CXX:-} c++ g++ clang++; do
        if command -v "$name" >/dev/null; then return; fi
    done
    fail "a C++ compiler is needed to build the simulators, and none of c++, g++, clang++ was found (Debian: apt install g++)"
}

python=$(find_python)
find_compiler
command -v make >/dev/null || fail "make is needed to build the simulators and was not found (Debian: apt install make)"
command -v perl >/dev/null || fail "perl is needed to run Verilator and was not found (Debian: apt install perl)"
"$python" -c 'import ensurepip, venv' 2>/dev/null ||
    fail "$python cannot make virtual environments (Debian: apt install python3-venv)"

# Everything that the environment depends on; its path, too, because scripts in it name their interpreter.
stamp=$("$python" - pyproject.toml constraints.txt tools/setup.sh <<'PYTHON'
import hashlib, os, pathlib, sys
content = b"".join(pathlib.Path(name).read_bytes() for name in sys.argv[1:])
print(hashlib.sha256(content).hexdigest(), sys.version.split()[0], os.getcwd())
PYTHON
)
if [ -f .venv/stamp ] && [ "$(cat .venv/stamp)" = "$stamp" ]; then exit 0; fi

echo "setup: installing into .venv (once; a few minutes)"
# An environment whose making was interrupted, one of another Python, or one whose checkout has moved is made anew. The
# old one is renamed before it is removed: a half-removed one has lost its pyvenv.cfg and is the system's Python.
wanted=$("$python" -c 'import os, sys; print(sys.version, os.path.realpath(".venv"))')
found=$(.venv/bin/python -c 'import pip, sys; print(sys.version, sys.prefix)' 2>/dev/null || true)
rm -rf .venv.old
if [ -f .venv/incomplete ] || [ "$found" != "$wanted" ] || ! grep -qF "$PWD/.venv" .venv/bin/activate; then
    if [ -e .venv ]; then mv .venv .venv.old && rm -rf .venv.old; fi
    "$python" -m venv .venv
fi
touch .venv/incomplete
rm -f .venv/stamp
export PIP_REQUIRE_VIRTUALENV=1 # whatever happens, nothing is ever installed outside of .venv
pip() { .venv/bin/python -m pip --disable-pip-version-check --quiet --quiet "$@" || fail "pip $1 failed (see above)"; }
pip install --constraint constraints.txt pip setuptools
# First and alone: the version that the constraints name needs no CUDA packages, whatever else asks for torch.
pip install --constraint constraints.txt "$(grep '^torch==' constraints.txt)"
pip install --constraint constraints.txt --no-build-isolation --editable '.[dev]'
.venv/bin/python -c 'import find_libpython, sys; sys.exit(find_libpython.find_libpython() is None)' ||
    fail "$python comes without its shared library libpython, which cocotb needs (Debian: apt install libpython3-dev)"
rm .venv/incomplete
echo "$stamp" >.venv/stamp
