#!/usr/bin/env bash
# What the browser tests need besides Python packages: Chromium with its driver, from Debian, and axe-core, from npm.
set -euo pipefail
cd "$(dirname "$0")"

debian() {
  command -v apt-get >/dev/null || {
    echo "no apt-get here: install $* by hand, then run this again" >&2
    exit 2
  }
  root=()
  [ "$(id -u)" = 0 ] || root=(sudo)
  "${root[@]}" apt-get update -qq
  DEBIAN_FRONTEND=noninteractive "${root[@]}" apt-get install -qq -y --no-install-recommends "$@" >/dev/null
}

command -v chromedriver >/dev/null || debian chromium chromium-driver
command -v npm >/dev/null || debian npm
npm ci --silent --no-audit --no-fund
