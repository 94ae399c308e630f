#!/bin/sh
# What 'make install' puts is complete, works by itself, and goes away again.
# Needs CC, MAKE, SPINDLE_SRC and SPINDLE_BUILD, as 'make check' sets them.

: "${CC:=cc}" "${MAKE:=make}" "${SPINDLE_BUILD:?}" "${SPINDLE_SRC:?}"
pkg_config=${PKG_CONFIG:-pkg-config}
command -v "$pkg_config" >/dev/null || { echo 'pkg-config not found'; exit 77; }
# The outer make's arguments (-j, DESTDIR=...) are not for this one.
unset MAKEFLAGS MFLAGS MAKEOVERRIDES MAKELEVEL

work=$(mktemp -d) || exit
trap 'rm -rf "$work"' EXIT
failures=0
fail() { printf 'install: %s\n' "$*"; failures=$((failures + 1)); }

# make_at TARGET PREFIX [ASSIGNMENT]: whatever directories configure was told
make_at()
{
    "$MAKE" -s -C "$SPINDLE_BUILD" "$1" "prefix=$2" "exec_prefix=$2" "bindir=$2/bin" "libdir=$2/lib" \
        "includedir=$2/include" "${3-DESTDIR=}" >"$work/make.log" 2>&1 || { cat "$work/make.log"; fail "make $1"; }
}

files() { (cd "$1" && find . -type f -o -type l) | sed 's|^\./||' | LC_ALL=C sort; }

# ---- into a directory with a space, and out again ----------------------------

destdir="$work/a place"
shared=$(sed -n 's/^SHARED = //p' "$SPINDLE_BUILD/Makefile")
so=$(sed -n 's/^SO = //p;s/^SO_MAJOR = //p;s/^SO_FULL = //p' "$SPINDLE_BUILD/Makefile")
{
    for lib in spindle spindle64; do
        echo "lib/lib$lib.a"
        echo "lib/pkgconfig/$lib.pc"
        [ "$shared" = no ] || for suffix in $so; do echo "lib/lib$lib.$suffix"; done
    done
    (cd "$SPINDLE_SRC" && ls spindle.h autograd/*.h ops/*.h nn/*.h zoo/*.h 2>/dev/null) | grep -v _inside.h | sed 's|^|include/spindle/|'
} | LC_ALL=C sort >"$work/expected"

make_at install '/opt/a prefix' "DESTDIR=$destdir"
files "$destdir/opt/a prefix" >"$work/installed"
diff "$work/expected" "$work/installed" || fail 'not the files expected (<: expected, >: installed)'
[ "$(files "$destdir" | wc -l)" = "$(wc -l <"$work/expected")" ] || fail 'files outside the prefix'

make_at uninstall '/opt/a prefix' "DESTDIR=$destdir"
files "$destdir" >"$work/left"
[ ! -s "$work/left" ] || { cat "$work/left"; fail 'uninstall left files'; }
[ ! -e "$destdir/opt/a prefix/include/spindle" ] || fail 'uninstall left include/spindle'

# ---- a user's program --------------------------------------------------------

prefix=$work/usr
make_at install "$prefix"
export PKG_CONFIG_PATH="$prefix/lib/pkgconfig${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}"

cat >"$work/program.c" <<'END'
#include <stdio.h>
#include <spindle/spindle.h>
int main(void) { puts(sp_version()); return 0; }
END

# program PACKAGE [--static]: compiles it as the manual says, and runs it
program()
{
    flags=$("$pkg_config" ${2+"$2"} --cflags --libs "$1") || { fail "pkg-config ${2-} $1"; return; }
    rm -f "$work/program"
    eval "$CC ${CFLAGS-} -o '$work/program' '$work/program.c' $flags ${LDFLAGS-}" || { fail "cc $flags"; return; }
    version=$(LD_LIBRARY_PATH=$prefix/lib DYLD_LIBRARY_PATH=$prefix/lib "$work/program")
    [ "$version" = "$("$pkg_config" --modversion "$1")" ] || fail "$1 ${2-}: sp_version() is '$version'"
}

for package in spindle spindle64; do
    [ "$shared" = no ] || program $package
done
rm -f "$prefix"/lib/libspindle*.so* "$prefix"/lib/libspindle*.dylib
for package in spindle spindle64; do
    program $package --static
done
"$pkg_config" --cflags spindle64 | grep -q -e -DSP_FLOAT64 || fail 'spindle64 does not say -DSP_FLOAT64'

# ---- each header alone, in C and in C++ --------------------------------------

compilers="$CC -x c -std=c11"
command -v c++ >/dev/null && compilers="$compilers
c++ -x c++ -std=c++17"

cd "$prefix/include" || exit
for header in $(find spindle -name '*.h' | LC_ALL=C sort); do
    bad=$(grep -En '# *include *("|<(.*/)?(blis|uthash|jansson|check|config)\.h)' "$header") &&
        fail "$header includes what is not installed: $bad"
    # A table is nothing without the macro of its rows.
    case $header in */table.h) define='#define SP_OP(...)' ;; *) define='' ;; esac
    printf '%s\n#include <%s>\nextern int nothing;\n' "$define" "$header" >"$work/header.c"
    while read -r compiler; do
        for precision in '' -DSP_FLOAT64; do
            eval "$compiler -Wall -Wextra -Wpedantic -Werror $precision -I. -fsyntax-only" "'$work/header.c'" ||
                fail "$header does not compile alone: $compiler $precision"
        done
    done <<END
$compilers
END
done

# Seen from C++, the names are those of C.
if command -v c++ >/dev/null; then
    c++ -std=c++17 -x c++ -I. -c -o "$work/program.o" "$work/program.c"
    nm "$work/program.o" | grep -q ' U _*sp_version$' || fail 'C++ does not see sp_version as a C function'
fi

[ "$failures" = 0 ]
