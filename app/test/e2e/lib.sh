# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The Gantry authors
#
# Result lines and counts of the end-to-end test scripts, which source this. A script sets SUITE
# (prefix of the lines) and out (a file whose contents are printed after a failure). A command that
# judge runs may set seen, which is printed beside the result.

. "$(dirname "${BASH_SOURCE[0]}")/../../../devtools/demo/lib"

passed=0
failed=0

judge() # name, then a command whose exit status is the result
{
    local name=$1
    shift
    seen=
    if "$@"; then
        passed=$((passed + 1)); echo "ok      $SUITE: $name${seen:+: $seen}"
    else
        failed=$((failed + 1)); echo "FAILED  $SUITE: $name${seen:+: $seen}"; sed 's/^/  | /' "$out"
    fi
}

finish() # number of skipped cases
{
    # failures: counted by devtools/demo/lib. A failed must calls finish.
    failed=$((failed + failures))
    echo "$passed passed, $failed failed, ${1:-0} skipped"
    exit $((failed > 0))
}
