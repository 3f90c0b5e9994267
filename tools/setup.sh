#!/bin/sh
# Makes a virtual environment and installs the project with all its tools into it.
# usage: [PYTHON=python3.12] sh tools/setup.sh FOLDER
set -eu

venv=${1:?usage: sh tools/setup.sh FOLDER}
cd "$(dirname "$0")/.."

# Quiet success if $1 is a Python of at least 3.11. A shim that exists but points nowhere fails.
new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }
# The versions that the project is tested with; a newer one may have no torch yet.
tested() { "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' >/dev/null 2>&1; }

choose_python() {
    if [ -n "${PYTHON:-}" ]; then
        if new_enough "$PYTHON"; then echo "$PYTHON"; return; fi
        echo "PYTHON=$PYTHON is not a Python of at least 3.11 ($("$PYTHON" --version 2>&1 || true))." >&2
        return 1
    fi
    for candidate in python3 python3.13 python3.12 python3.11 python; do
        if tested "$candidate"; then echo "$candidate"; return; fi
    done
    if new_enough python3; then echo python3; return; fi
    echo "No Python of at least 3.11 was found (python3 is: $(python3 --version 2>&1 || true))." >&2
    echo "Install one (python.org, or your system's package manager), or name it:" >&2
    echo "    make lab PYTHON=/path/to/python3.12" >&2
    return 1
}

if ! new_enough "$venv/bin/python"; then
    python=$(choose_python)
    if ! "$python" -c 'import ensurepip, venv' >/dev/null 2>&1; then
        echo "$python cannot make virtual environments." >&2
        echo "On Debian and Ubuntu: sudo apt install python3-venv" >&2
        exit 1
    fi
    echo "Making $venv with $("$python" --version) ..."
    "$python" -m venv --clear "$venv"
fi

echo "Installing alexnet-edu and what it needs (about 6 GB with CUDA, minutes the first time) ..."
python="$venv/bin/python"
# uv is several times faster; where it cannot be had or cannot reach the packages, pip is used.
if "$python" -m pip install --quiet --disable-pip-version-check "uv>=0.6" &&
    "$python" -m uv pip install --quiet --python "$python" -e ".[dev]"; then
    :
else
    echo "uv did not manage; trying pip ..." >&2
    "$python" -m pip install --disable-pip-version-check -e ".[dev]"
fi
echo "Installed. \`make help\` shows what can be done."
