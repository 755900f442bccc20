# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The Gantry authors
# What do the test scripts have in common? Verdicts. To be sourced; a script that calls judge has its name in SUITE, and in the file
# $out what is to be seen where something does not hold. What a command leaves in $seen stands beside the verdict.

. "$(dirname "${BASH_SOURCE[0]}")/../../config/demo/lib"

passed=0
failed=0

judge() # name, then a command that says whether it holds
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

finish() # how many were skipped
{
    # Those of config/demo/lib count too: a must that does not hold comes here at once.
    failed=$((failed + failures))
    echo "$passed passed, $failed failed, ${1:-0} skipped"
    exit $((failed > 0))
}
