# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The Gantry authors
# What do the test scripts have in common? Verdicts. To be sourced; a script that calls judge has its name in SUITE, and in the file
# $out what is to be seen where something does not hold.

. "$(dirname "${BASH_SOURCE[0]}")/../../config/demo/lib"

passed=0
failed=0

judge() # name, then a command that says whether it holds
{
    local name=$1
    shift
    if "$@"; then
        passed=$((passed + 1)); echo "ok      $SUITE: $name"
    else
        failed=$((failed + 1)); echo "FAILED  $SUITE: $name"; sed 's/^/  | /' "$out"
    fi
}

finish() # how many were skipped
{
    # Those of config/demo/lib count too: a must that does not hold comes here at once.
    failed=$((failed + failures))
    echo "$passed passed, $failed failed, ${1:-0} skipped"
    exit $((failed > 0))
}
