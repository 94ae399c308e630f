#!/bin/sh
# The library works on a machine without AVX: the tests pass with BLIS's generic kernels and without the clones of functions
# for newer instructions. 'make check' has built them so, and names them in BASELINE.

cd "${SPINDLE_BUILD:?}" || exit
# shellcheck disable=SC3045 # where there is one
ulimit -c 0 2>/dev/null
log=$(mktemp) || exit
trap 'rm -f "$log"' EXIT

# ---- which kernels -----------------------------------------------------------

# BLIS 0.9 wants their number, which differs from release to release, and aborts for some others; later ones take the name.
kernels() { BLIS_ARCH_TYPE=$1 examples/lm --version | sed 's/.*: //'; }
type=generic number=0
until [ "$(kernels "$type" 2>/dev/null)" = generic ]; do
    [ "$number" -lt 100 ] || { echo 'BLIS has no generic kernels here'; exit 77; }
    type=$number number=$((number + 1))
done
# test_blas sees to it that it runs on these. One process a program, because each takes a while to warm BLIS up.
export BLIS_ARCH_TYPE="$type" SPINDLE_KERNELS=generic CK_FORK=no

# ---- which clones ------------------------------------------------------------

# clones PROGRAM: names them, if there are any
if grep -q '^#define HAVE_TARGET_CLONES' config.h; then
    clones() { nm "$1" | grep -E '\.avx(2|512f)(\.[0-9]+)?$'; }
    clones tests/test_vmath >"$log" || { echo 'nm does not show the clones there are'; exit 77; }
else
    clones() { false; }
fi

# ---- the tests ---------------------------------------------------------------

failures=0
for test in ${BASELINE:?}; do
    if clones "$test" >"$log"; then
        failures=$((failures + 1))
        cat "$log"
        echo "$test has clones"
    elif ! "./$test" >"$log" 2>&1; then
        failures=$((failures + 1))
        cat "$log"
        echo "FAILED: $test with the kernels of BLIS_ARCH_TYPE=$type"
    fi
done
[ "$failures" = 0 ]
