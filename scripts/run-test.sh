#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
# Runs a test program for scripts/test.sh. Those of the elements wait for half of their time, for
# audio that plays at its own pace, so that four of their tests run at once.
set -euo pipefail
case ${1##*/} in
sink-* | transcriber-*) export RUST_TEST_THREADS=${RUST_TEST_THREADS:-4} ;;
esac
exec "$@"
