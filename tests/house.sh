#!/bin/sh
# The rules of the house. Each breach is printed as file:line: reason.

# Files of ops/ that are no operation.
helpers='ops.c loop.c shape.c cost.c slide.c segments.c ragged.c chain.c'

cd "${SPINDLE_SRC:-$(dirname "$0")/..}" || exit
temporary=$(mktemp -d) || exit
trap 'rm -rf "$temporary"' EXIT
breaches=$temporary/breaches
code=$temporary/code
: >"$breaches"

# sources FOLDER...: their C files; the names have no spaces
sources() { find "$@" -name '*.[ch]' 2>/dev/null | LC_ALL=C sort; }

# strip FILE...: as file:line:text, without comments and what is between quotes
strip()
{
    awk '
    FNR == 1 { comment = 0 }
    {
        line = $0; text = ""
        while (line != "") {
            if (comment) {
                comment = !(end = index(line, "*/"))
                if (comment) break
                used = end + 1
            } else if (match(line, /^[^"\047\/]+/)) {
                used = RLENGTH; text = text substr(line, 1, RLENGTH)
            } else if (match(line, /^("([^"\\]|\\.)*"|\047([^\047\\]|\\.)*\047)/)) {
                used = RLENGTH; text = text "\"\""
            } else if (line ~ /^\/\//) {
                break
            } else if (line ~ /^\/\*/) {
                used = 2; comment = 1
            } else {
                used = 1; text = text substr(line, 1, 1)
            }
            line = substr(line, used + 1)
        }
        print FILENAME ":" FNR ":" text
    }' "$@" </dev/null
}

# forbid FILES PATTERN REASON: where the code of FILES (an ERE) matches PATTERN
forbid() { grep -E "^($1):[0-9]+:.*($2)" "$code" | sed "s/^\([^:]*:[0-9]*\):.*/\1: $3/" >>"$breaches"; }

# shellcheck disable=SC2046 # a list of words
strip $(sources autograd ops nn zoo) >"$code"

# ---- includes point one way: autograd <- ops <- nn <- zoo <- examples --------

# shellcheck disable=SC2046
awk '
BEGIN {
    split("autograd ops nn zoo examples", order, " ")
    for (i in order) rank[order[i]] = i + 0
}
function breach(reason) { print FILENAME ":" FNR ": " reason }
/^[ \t]*#[ \t]*include[ \t]*["<]/ {
    folder = FILENAME; sub("/.*", "", folder)
    name = $0; sub(/^[^"<]*/, "", name); sub(/[">][^">]*$/, "", name)
    quoted = name ~ /^"/; name = substr(name, 2)
    target = name; sub("/.*", "", target)
    if (folder == "examples") {
        if (quoted && name != "program.h") breach("an example includes <spindle/...>, \"program.h\" and the system, not \"" name "\"")
        else if (name ~ /blis|uthash|jansson|check\.h/) breach("an example needs Spindle alone, not <" name ">")
    } else if (!quoted) {
        if (target == "spindle") breach("the library includes \"" substr(name, 9) "\", not <" name ">")
    } else if (name == "config.h" || name == "corpus.inc") {
        if (FILENAME ~ /\.h$/) breach("a header is installed, " name " is not")
    } else if (!(target in rank)) {
        breach("\"" name "\" is not a path from the root to a folder of the library")
    } else if (rank[target] > rank[folder]) {
        breach(folder " may not know " target ": \"" name "\"")
    }
}' $(sources autograd ops nn zoo examples) </dev/null >>"$breaches"

# ---- an operation is a row and a file ----------------------------------------

if [ -f ops/table.h ]; then
    awk '/^SP_OP\(/ { sub(/^SP_OP\([ \t]*/, ""); sub(/[^A-Za-z0-9_].*/, ""); print FNR, $0 }' \
        ops/table.h >"$temporary/rows"
    while read -r line name; do
        [ -f "ops/$name.c" ] || echo "ops/table.h:$line: '$name' has no ops/$name.c"
    done <"$temporary/rows" >>"$breaches"
    for file in ops/*.c; do
        name=$(basename "$file" .c)
        case " $helpers " in *" $name.c "*) continue ;; esac
        grep -q " $name\$" "$temporary/rows" || echo "$file:1: '$name' has no row in ops/table.h"
    done >>"$breaches"
fi

# ---- golden files have a reader, and are small -------------------------------

if [ -d tests/golden ]; then
    for folder in tests/golden/*/; do
        name=$(basename "$folder")
        grep -q "golden_each(\"$name\"" tests/test_*.c || echo "$folder:1: no golden_each(\"$name\") reads it"
    done >>"$breaches"
    find tests/golden -name '*.safetensors' -exec cat {} + | wc -c |
        awk '$1 > 2000000 { print "tests/golden:1: " $1 " bytes of golden files, more than 2000000" }' >>"$breaches"
fi

# ---- names -------------------------------------------------------------------

# A sanitizer adds symbols of its own.
if [ -f "${SPINDLE_BUILD-}/libspindle.a" ] && command -v nm >/dev/null; then
    nm -g "$SPINDLE_BUILD/libspindle.a" | awk '
    /:$/ { member = $0; sub(/:$/, "", member) }
    NF == 3 && $2 ~ /^[TDBRCVWiSG]$/ && $3 !~ /^_?sp_/ && $3 !~ /^_*(odr_)?[at]san/ {
        print "libspindle.a:" member ": the name " $3 " does not begin with sp_"
    }' >>"$breaches"
fi

# ---- one file knows BLIS, one file knows uthash ------------------------------

others=$(sources autograd ops nn zoo | grep -vx autograd/blas.c | paste -s -d '|' -)
forbid "$others" '(^|[^A-Za-z0-9_])(SP_BLIS_HEADER|bli_[a-z0-9_]+)|include *<.*blis|include *<cblas' \
    'BLIS belongs to autograd\/blas.c'

users=$(grep -E ':[0-9]+: *# *include *<uthash\.h>' "$code" | cut -d : -f 1,2)
first=${users%%
*}
for user in $users; do
    if [ "$user" != "$first" ]; then
        echo "$user: uthash.h belongs to one file, ${first%:*}"
    elif ! head -n "${user#*:}" "${user%:*}" | grep -Eq '^ *# *define +HASH_NONFATAL_OOM +1'; then
        echo "$user: without HASH_NONFATAL_OOM before it, uthash exits when memory is out"
    fi
done >>"$breaches"

# ---- the library never exits, aborts, prints or longjmps ---------------------

forbid '[^:]+' \
    '(^|[^A-Za-z0-9_.>])(_?exit|_Exit|quick_exit|abort|v?printf|puts|putchar|perror|(sig)?longjmp) *\(' \
    'the library reports errors, it does not exit, abort, print or longjmp'

# The trainer's defaults name stderr, for its caller to keep or change.
others=$(sources autograd ops nn zoo | grep -vx zoo/trainer.c | paste -s -d '|' -)
forbid "$others" '(^|[^A-Za-z0-9_])(stderr|stdout)([^A-Za-z0-9_]|$)' 'the library does not print'
forbid '[^:]+' '(^|[^A-Za-z0-9_.>])d?(write|printf) *\( *[12] *,' 'the library does not print'

cat "$breaches"
[ ! -s "$breaches" ]
