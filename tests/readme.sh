#!/bin/sh
# The program in README.md compiles without a warning and prints what README.md says it prints; its losses to 0.05, because
# another CPU's kernels add in another order and 120 steps of training carry that on.

cd "${SPINDLE_BUILD:?}" || exit
temporary=$(mktemp -d) || exit
trap 'rm -rf "$temporary"' EXIT

# block NUMBER: the text of a code block
block()
{
    awk -v wanted="$1" '/^```/ { inside = !inside; count += inside; next } inside && count == wanted' "$SPINDLE_SRC/README.md"
}

block 1 >"$temporary/program.c"
block 2 >"$temporary/expected"
# shellcheck disable=SC2046,SC2086 # lists of words
${CC:-cc} -std=c11 -Wall -Wextra -Wpedantic -Werror ${CFLAGS-} -Iinclude -iquote include/spindle -o "$temporary/program" \
    "$temporary/program.c" libspindle.a ${LDFLAGS-} ${LIBS-} || exit
"$temporary/program" >"$temporary/printed" || exit
paste -d '|' "$temporary/expected" "$temporary/printed" | awk -F '|' '
{
    n = split($1, want, " ")
    same = n == split($2, have, " ")
    for (i = 1; i <= n; i++)
        same = same && (want[i] == have[i] || (want[i] ~ /^0\./ && (want[i] - have[i]) ^ 2 < 0.05 ^ 2))
    if (!same) { print "README.md says: " $1 "\nbut it prints:  " $2; wrong = 1 }
}
END { exit wrong || NR == 0 }'
