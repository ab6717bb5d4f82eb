#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
# Runs a test program for scripts/test.sh. Ctrl-C ends what it starts, even if the shell that runs
# all tests in the background ignores it. The programs of the elements wait for half of their time, for
# audio that plays at its own pace, so that four of their tests run at once.
set -euo pipefail
case ${1##*/} in
sink-* | transcriber-*) export RUST_TEST_THREADS=${RUST_TEST_THREADS:-4} ;;
esac
exec env --default-signal=INT,QUIT "$@"
