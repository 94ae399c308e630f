#!/bin/sh
# examples/tag as a person meets it: what it prints, where, and the status it ends with.

program=tag
# shellcheck source=tests/cli.inc
. "${SPINDLE_SRC:-$(dirname "$0")/..}/tests/cli.inc"
tag=$path
model=$work/model

# Sentences, always the same, in the three formats; every third word is an entity of one or two words.
awk 'BEGIN {
    n = split("wheel turns wool thread falls rain spins slowly", word, " ")
    m = split("Anna London Grün Lee", name, " ")
    for (i = 0; i < 60; i++) {
        for (j = 0; j < 4; j++) {
            seed = (seed * 69 + 17) % 1009; print word[seed % n + 1] "\tO"
            seed = (seed * 69 + 17) % 1009; print name[seed % m + 1] "\tB-NAME"
            if (seed % 5 == 0) print name[(seed + 1) % m + 1] "\tI-NAME"
        }
        print ""
    }
}' >"$work/ner.tsv"
awk 'BEGIN { print "# a comment" } NF { print ++i "\t" $1 "\t_\t" ($2 == "O" ? "VERB" : "PROPN") "\t" $2 } !NF { i = 0; print }' \
    "$work/ner.tsv" >"$work/pos.conllu"
awk 'BEGIN { print "-DOCSTART- -X- O\n" } NF { print $1, "X", $2 } !NF' "$work/ner.tsv" >"$work/ner.2003"

plain='--hidden 8 --embed 8 --epochs 2 --batch 8 --lr 1e-2'
small="$plain --letter-embed 4 --letter-hidden 4"
# train STATUS OPTION...: the smallest training there is
# shellcheck disable=SC2086 # a list of words
train() { expected=$1; shift; run "$expected" train --data "$work/ner.tsv" --format columns --out "$model" $small "$@"; }

# ---- help --------------------------------------------------------------------

for command in '' train predict eval demo; do
    # shellcheck disable=SC2086 # none is none
    run 0 $command --help
    grep -q '^Usage: tag' "$work/out" || fail "tag $command --help: no usage"
    [ ! -s "$work/err" ] || fail "tag $command --help: writes on standard error"
done

# ---- what it is for ----------------------------------------------------------

train 0 --epochs 6 --crf --log "$work/log" --graph "$work/graph.dot" --profile
json command='"train"' epochs=6 interrupted=false train_loss valid_loss best_valid_loss best_valid_f1 best_epoch tokens_per_s seconds
[ "$(wc -l <"$work/log")" -eq 6 ] || fail 'the log has not one line an epoch'
grep -q '"f1"' "$work/log" || fail 'the log has no f1'
grep -q '^digraph' "$work/graph.dot" || fail 'no graph'
grep -q '3 tags (scheme: bio)' "$work/err" || fail 'it does not say what the tags are'
grep -q '^linear_chain ' "$work/err" || fail 'no profile'

run 0 eval "$model" --data "$work/ner.tsv" --format columns
json command='"eval"' sentences=60 unknown_words unseen_tags=0 accuracy precision recall f1 accuracy_unknown
grep -q '^accuracy [0-9.]* % of [0-9]* words' "$work/out" || fail 'eval prints no accuracy'
grep -q '^processed [0-9]* tokens with [0-9]* phrases' "$work/out" || fail 'eval prints no table of spans'
grep -q 'NAME: precision' "$work/out" || fail 'eval prints no types'
cp "$work/out" "$work/first"
run 0 eval "$model" --data "$work/ner.2003" --format conll2003
cmp -s "$work/out" "$work/first" || fail 'another format, another result'
run 0 eval "$model" --data "$work/pos.conllu" --column 5
cmp -s "$work/out" "$work/first" || fail 'another column, another result'
sed 's/$/\r/' "$work/ner.tsv" >"$work/dos"
printf '\357\273\277\n' >>"$work/dos"
run 0 eval "$model" --data "$work/dos" --format columns
cmp -s "$work/out" "$work/first" || fail 'Windows line ends and a byte-order mark, another result'

# Half of the words are unknown, and some have the right tag.
printf '%s\n' 'wool O' 'Anna B-NAME' 'falls O' 'Lee B-NAME' 'rain O' | awk '{ print $1 "zz\t" $2; print "wheel\tO" }' >"$work/zz"
run 0 predict "$model" --format columns --data "$work/zz"
right=$(sed '$d' "$work/out" | grep . | paste - "$work/zz" | awk '$1 ~ /zz$/ { right += $2 == $4 } END { print right / 5 }')
run 0 eval "$model" --data "$work/zz" --format columns
json words=10 unknown_words=5 accuracy_unknown="$right"

# Tags and words come back; JSON is last.
run 0 predict "$model" --format columns --data "$work/ner.tsv"
sed '$d' "$work/out" | cut -f 1 >"$work/words"
cut -f 1 "$work/ner.tsv" | cmp -s - "$work/words" || fail 'predict does not write the words it read'
sed '$d' "$work/out" >"$work/tagged"
sed '$d' "$work/out" | awk -F '\t' 'NF && !($2 == "O" || $2 == "B-NAME" || $2 == "I-NAME") { bad = 1 } END { exit bad }' || fail 'predict writes no tags'
json command='"predict"' sentences=60 words
run 0 predict "$model" --format columns --data "$work/ner.tsv" --out "$work/saved"
cmp -s "$work/saved" "$work/tagged" || fail 'predict --out writes something else'
[ "$(wc -l <"$work/out")" -eq 1 ] || fail 'predict --out prints more than the result'
printf 'wheel turns Anna\n\n Ж\377 \r\nfalls' | "$tag" predict "$model" --lines >"$work/out" 2>"$work/err" || fail 'predict --lines fails'
json sentences=4 words=5
[ "$(sed '$d' "$work/out" | cut -f 1 | tr '\n' ' ')" = "$(printf 'wheel turns Anna   Ж\377  falls  ')" ] ||
    fail "predict --lines: not a word on each line, or a blank line is lost: $(cat "$work/out")"
"$tag" predict "$model" --format columns <"$work/ner.tsv" >"$work/out" 2>"$work/err" || fail 'predict from standard input fails'
sed '$d' "$work/out" | cmp -s - "$work/tagged" || fail 'predict from standard input writes something else'
"$tag" predict "$model" </dev/null >"$work/out" 2>"$work/err" || fail 'predict without sentences fails'
json sentences=0 words=0
: >"$work/empty"
run 0 predict "$model" --data "$work/empty"
json sentences=0 words=0
# The format is the same for all commands if none is named.
run 0 predict "$model" --data "$work/pos.conllu"
sed '$d' "$work/out" | cmp -s - "$work/tagged" || fail 'predict reads CoNLL-U otherwise'

# Words only (no tags in the file), and a sentence of 10,000 words with one of 10,000 letters.
cut -f 1 "$work/ner.tsv" >"$work/bare"
run 0 predict "$model" --format columns --data "$work/bare"
sed '$d' "$work/out" | cmp -s - "$work/tagged" || fail 'predict needs tags'
awk 'BEGIN { for (i = 0; i < 9999; i++) printf "rain "; for (i = 0; i < 10000; i++) printf "o"; print "" }' >"$work/long"
run 0 predict "$model" --data "$work/long" --lines
json sentences=1 words=10000

# A tag that training had not: wrong, and named once with its count.
{ cat "$work/ner.tsv"; printf 'wool\tB-NEW\nwool\tB-NEW\nrain\tO\n'; } >"$work/new"
run 0 eval "$model" --data "$work/new" --format columns
json unseen_tags=2 sentences=61
words=$(grep -c . "$work/new")
unseen="tag: 2 of $words words have a tag that training had not, and count as wrong: 'B-NEW' 2"
[ "$(cat "$work/err")" = "$unseen" ] || fail "unseen: $(cat "$work/err")"
train 0 --valid "$work/new" --crf
json best_valid_f1
grep -qx "$unseen" "$work/err" || fail "unseen in --valid: $(cat "$work/err")"
for i in 1 2 3 4 5 6; do printf 'x\tN%d\n' $i; done >"$work/many"
run 0 eval "$model" --data "$work/many" --format columns
grep -q ": 'N1' 1, 'N2' 1, 'N3' 1, 'N4' 1, 'N5' 1, \.\.\.\$" "$work/err" || fail "many unseen: $(cat "$work/err")"

# A scheme that no sentence of one word keeps to: it is tagged nonetheless.
printf 'Anna\tB-X\nLee\tE-X\n\nAnna\tB-X\nLee\tI-X\nLee\tE-X\n' >"$work/pairs"
# shellcheck disable=SC2086 # a list of words
run 0 train --data "$work/pairs" --valid "$work/pairs" --format columns --out "$work/crf" $small --crf
printf 'Anna Lee\nLee\nAnna\n' >"$work/lines"
run 0 predict "$work/crf" --data "$work/lines" --lines
json sentences=3 words=4

# Parts of speech: accuracy and no spans; word vectors; other encoders of letters.
printf '3 8\nwool 1 2 3 4 5 6 7 8\nRain 1 1 1 1 1 1 1 1\nbyte 1 2 3 4 5 6 7 8\n' >"$work/vectors"
for letters in none recurrent conv; do
    # shellcheck disable=SC2086 # a list of words
    run 0 train --data "$work/pos.conllu" --valid "$work/pos.conllu" --out "$model" $plain --letters $letters --vectors "$work/vectors"
    json best_valid_accuracy
    grep -q "^3 of these words have a vector in $work/vectors" "$work/err" || fail "vectors: $(cat "$work/err")"
    run 0 eval "$model" --data "$work/pos.conllu"
    json accuracy unseen_tags=0
    ! grep -q precision "$work/out" || fail 'spans of tags that are none'
done

# ---- the same seed, the same model; resuming ---------------------------------

train 0 --batch 32 --seed 7 --word-dropout 0.2
mv "$model" "$work/first"
train 0 --batch 32 --seed 7 --word-dropout 0.2 --threads 2
cmp -s "$model" "$work/first" || fail 'two threads make another model'
train 0 --batch 32 --seed 8 --word-dropout 0.2
! cmp -s "$model" "$work/first" || fail 'another seed makes the same model'
train 0 --epochs 4 --schedule constant
mv "$model" "$work/first"
train 0 --epochs 2 --schedule constant --checkpoint "$work/check"
train 0 --epochs 4 --schedule constant --checkpoint "$work/check" --resume
cmp -s "$model" "$work/first" || fail 'resuming makes another model'
train 1 --epochs 4 --schedule constant --checkpoint "$work/check" --resume --hidden 9
grep -Fq "tag: $work/check: is of another training: hidden is 8, not 9" "$work/err" || fail "another model: $(cat "$work/err")"
cp "$work/new" "$work/keep"
train 1 --epochs 4 --schedule constant --checkpoint "$work/check" --resume --data "$work/keep"
grep -q "$work/check: is of another training: .*training " "$work/err" || fail "other data: $(cat "$work/err")"

# ---- mistakes ----------------------------------------------------------------

printf 'a\tO\nb O\n' >"$work/torn"
printf '1\ta\t_\tX\n2\tb\n' >"$work/torn.conllu"
printf 'a\0b\tO\n' >"$work/zero"
printf '\n# x\n' >"$work/none.conllu"
printf 'q 1 2 3\n' >"$work/narrow"
awk 'NF { print $1 "\tNOUN" } !NF' "$work/ner.tsv" >"$work/ner.pos"
printf '\002\0\0\0\0\0\0\0{}' >"$work/other"
wrong 2 'there is no command (see tag --help)'
wrong 2 "'sample' is no command (see tag --help)" sample
wrong 2 '--data FILE is missing (see tag train --help)' train
wrong 2 '--format conll: expected one of conllu|conll2003|columns' train --data "$work/ner.tsv" --format conll
wrong 2 '--letters some: expected one of none|recurrent|conv' train --data "$work/ner.tsv" --letters some
wrong 2 '--column 65: expected a whole number from 0 to 64' train --data "$work/ner.tsv" --column 65
wrong 2 'expected MODEL (see tag predict --help)' predict
wrong 1 "$work/none/g: cannot be written: " train --data "$work/nothing" --graph "$work/none/g"
wrong 1 "$work/none/x: cannot be written: " train --data "$work/nothing" --out "$work/none/x"
wrong 1 "tagger: of the 60 sentences to validate on with" train --data "$work/pairs" --valid "$work/ner.pos" --format columns --out "$work/unused"
wrong 2 "--out $work/first is the file of MODEL" predict "$work/first" --data "$work/lines" --lines --out "$work/first"
wrong 1 "$work/nothing: cannot be read: No such file or directory" train --data "$work/nothing"
wrong 1 "$work/torn:2: 1 column between tabs, expected 2" train --data "$work/torn" --format columns
wrong 1 "$work/torn.conllu:2: 2 columns between tabs, expected 4" train --data "$work/torn.conllu"
wrong 1 "$work/pos.conllu:2: 5 columns between tabs, expected 9" train --data "$work/pos.conllu" --column 9
wrong 1 "$work/zero: is not text: byte 1 is zero" train --data "$work/zero" --format columns
wrong 1 "$work/empty: is empty" train --data "$work/empty"
wrong 1 "$work/none.conllu: 0 sentences: too few to take a tenth of them to validate on; give --valid" train --data "$work/none.conllu"
wrong 1 'tagger: no sentences to validate on' train --data "$work/pos.conllu" --valid "$work/none.conllu" --out "$work/unused"
wrong 1 "$work/none.conllu: there are no sentences" eval "$work/first" --data "$work/none.conllu"
wrong 1 "$work/narrow:1: 3 numbers, expected 8" train --data "$work/pos.conllu" --embed 8 --vectors "$work/narrow" --out "$work/unused"
wrong 1 "$work/pos.conllu: is no safetensors file" predict "$work/pos.conllu"
wrong 1 "$work/other: is a model of the kind 'unknown', not 'spindle.tagger 1'" eval "$work/other" --data "$work/pos.conllu"
cp "$work/ner.tsv" "$work/copy"
wrong 2 "--out $work/copy is the file of --data" train --data "$work/copy" --format columns --out "$work/copy"
wrong 2 "--log $work/vectors is the file of --vectors" train --data "$work/copy" --vectors "$work/vectors" --log "$work/vectors"
wrong 2 "--out $work/copy is the file of --data" predict "$work/first" --data "$work/copy" --out "$work/copy"
cmp -s "$work/copy" "$work/ner.tsv" || fail 'a file was overwritten'
wrong 1 "$work/none/x: cannot be written: " train --data "$work/ner.tsv" --format columns --out "$work/none/x"
wrong 1 "$work/none/x: cannot be written: " predict "$work/first" --data "$work/ner.tsv" --out "$work/none/x"
wrong 2 '--metric f2: expected one of loss|accuracy|f1' train --data "$work/nothing" --metric f2
wrong 2 '--letter-embed: has an effect only with --letters recurrent|conv, not none' train --data "$work/nothing" --letters none --letter-embed 9
wrong 2 '--vector-words: has an effect only with --vectors' train --data "$work/nothing" --vector-words 9
wrong 2 '--format: has an effect only without --lines' predict "$work/first" --lines --format columns
run 1 train --data "$work/ner.tsv" --format columns --out "$work/unused" --metric accuracy
grep -Fq "tag: training: the metric 'accuracy' is none of: loss f1" "$work/err" || fail "another metric: $(cat "$work/err")"
[ ! -e "$work/unused" ] || fail 'a model was written though training did not begin'

# ---- the demo, and cut short -----------------------------------------------------

run 0 demo --out "$work/demo" --epochs 1 --sentences 600
json command='"demo"' epochs=1 accuracy best_accuracy baseline_accuracy
grep -q 'who knows the grammar  *9[78]' "$work/out" || fail 'the demo does not say what is best'

# A folder whose name begins as an option does; and a full disk: what is written is told nonetheless.
(cd "$work" && "$path" demo --out=-K --epochs 1 --sentences 600 >out 2>err) || { fail 'demo --out=-K'; cat "$work/err"; }
grep -q '^Written: model \./-K/tagger.safetensors, log ' "$work/out" || { fail 'demo --out=-K does not name its files'; cat "$work/out"; }
if command -v dot >/dev/null; then
    json picture='"./-K/graph.svg"'
    grep -q 'picture \./-K/graph.svg' "$work/out" || fail 'demo: the picture is not named'
    grep -q '</svg>' "$work/-K/graph.svg" || fail 'demo --out=-K makes no picture'
fi
rm -r "$work/-K"
mkdir "$work/undrawn" "$work/bin"
echo old >"$work/undrawn/graph.svg"
(PATH="$work/bin" "$path" demo --out "$work/undrawn" --epochs 1 --sentences 600 >"$work/out" 2>"$work/err") || fail 'demo without dot'
json picture=null
! grep -q 'Written: .*picture' "$work/out" || fail 'a picture that was not drawn is named'
(trap '' XFSZ; ulimit -f 64; "$path" demo --out "$work/full" --epochs 1 --sentences 600 >"$work/out" 2>"$work/err") && fail 'demo on a full disk'
grep -q "^Written: graph $work/full/graph.dot\.$" "$work/err" || { fail 'a demo that fails does not name its files'; cat "$work/err"; }
[ ! -s "$work/out" ] || fail 'a demo that fails prints a result'

stop_demo tagger.safetensors --sentences 600

finish
