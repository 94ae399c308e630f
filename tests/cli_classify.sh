#!/bin/sh
# examples/classify as a person meets it: what it prints, where, and the status it ends with.

program=classify
# shellcheck source=tests/cli.inc
. "${SPINDLE_SRC:?}/tests/cli.inc"

# Labelled texts, always the same: the label is the first word's, with a word of its own and one that is not UTF-8.
data=$work/data
awk 'BEGIN {
    n = split("wheel thread wool rain grün café fine dull the a", word, " ")
    for (i = 0; i < 200; i++) {
        printf "%s\t%s", i % 3 ? "good" : "bad", i % 3 ? "bright" : "grey"
        for (j = 0; j < i % 6; j++) { seed = (seed * 69 + 17) % 1009; printf " %s", word[seed % n + 1] }
        print ""
    }
}' >"$data"
printf 'bad\tcaf\351 <grey> & grey\r\n' >>"$data"
sed -n 's/^good	//p' "$data" >"$work/good"
sed -n 's/^bad	//p' "$data" >"$work/bad"
model=$work/model
small='--embed 8 --hidden 8 --batch 16 --epochs 3 --lr 0.02'
# train STATUS OPTION...: the smallest training there is
# shellcheck disable=SC2086 # a list of words
train() { expected=$1; shift; run "$expected" train --data "$data" --out "$model" $small "$@"; }

# ---- help --------------------------------------------------------------------

for command in '' train predict eval cv demo; do
    # shellcheck disable=SC2086 # none is none
    run 0 $command --help
    grep -q '^Usage: classify' "$work/out" || fail "classify $command --help: no usage"
    [ ! -s "$work/err" ] || fail "classify $command --help: writes on standard error"
done
run 0 train --help --model conv
grep -q -e '--hidden .*100' "$work/out" || fail 'the defaults of a conv are not shown'

# ---- what it is for ----------------------------------------------------------

train 0 --log "$work/log" --graph "$work/graph.dot" --profile
json command='"train"' epochs=3 interrupted=false train_loss valid_loss best_valid_loss best_valid_accuracy best_epoch seconds
[ "$(wc -l <"$work/log")" -eq 3 ] || fail 'the log has not one line an epoch'
grep -q '"accuracy": ' "$work/log" || fail 'the log has no accuracy'
grep -q '^digraph' "$work/graph.dot" || fail 'no graph'
grep -q '^181 sentences to train on, 20 to validate on, ' "$work/err" || grep -q '^180 sentences to train on, 21 to validate on, ' "$work/err" ||
    { fail 'not a tenth to validate on'; cat "$work/err"; }
grep -q '^A tenth of the sentences of each label, drawn by --seed 1, is kept to validate on\.$' "$work/err" || fail 'silent about the tenth'
grep -q '^operation  *calls' "$work/err" || fail 'no profile'
cp "$model" "$work/first"
train 0
cmp -s "$model" "$work/first" || fail 'the same seed makes another model'
train 0 --batch 32 --threads 1
mv "$model" "$work/one"
train 0 --batch 32 --threads 2
cmp -s "$model" "$work/one" || fail 'two threads make another model'
cp "$work/first" "$model"

run 0 eval "$model" --data "$data"
json command='"eval"' sentences=201 accuracy macro_f1 nats unseen_labels=0
grep -q '^accuracy [0-9.]* %, macro F1 [0-9.]* %$' "$work/out" || fail 'no accuracy'
cut -f 2 "$data" | "$path" predict "$model" | sed '$d' | cut -f 1 >"$work/labels"
json accuracy="$(cut -f 1 "$data" | paste - "$work/labels" | awk '{ right += $1 == $2 } END { printf "%.6g", right / NR }')"
grep -q '^class  *truth  *guessed' "$work/out" || fail 'no confusion matrix'
[ ! -s "$work/err" ] || fail 'eval writes on standard error'

printf 'bright wheel\n\ngrey <b>&</b>\r\ncaf\351 grey' >"$work/lines"
"$path" predict "$model" --html "$work/page.html" <"$work/lines" >"$work/out" 2>"$work/err" || { fail 'predict fails'; cat "$work/err"; }
json command='"predict"' lines=4
[ "$(grep -ac '^[a-z]*	[01]\.[0-9]*	' "$work/out")" -eq 4 ] || { fail 'predict does not answer each line'; cat "$work/out"; }
grep -aq '^good	.*	bright wheel$' "$work/out" || fail 'it has not learned what is good'
grep -aq '^good	0\.6[0-9]*	$' "$work/out" || fail 'a blank line has not the most frequent label'
grep -aq '^bad	.*	grey <b>&</b>$' "$work/out" || fail 'it has not learned what is bad, or a line is not given back'
grep -q '&lt;b&gt;&amp;&lt;/b&gt;' "$work/page.html" || fail 'the page is not escaped'
if command -v python3 >/dev/null; then
    python3 -c 'import sys, xml.dom.minidom as m
page = m.parse(sys.argv[1])
rows = page.getElementsByTagName("tr")
words = page.getElementsByTagName("span")
assert len(rows) == 5 and len(words) == 6, (len(rows), len(words))
assert abs(sum(float(w.getAttribute("title")) for w in words) - 3) < 1e-3' "$work/page.html" || fail 'the page is not well-formed, or not complete'
fi
head -n 1 "$work/out" >"$work/answer"
run 0 predict "$model" --data "$work/lines"
head -n 1 "$work/out" | cmp -s - "$work/answer" || fail 'a file has other answers than standard input'

printf 'bright\nbright\0\nbright\n' >"$work/part"
run 1 predict "$model" --data "$work/part"
grep -Fxq "classify: $work/part:2: is not text: a byte is zero" "$work/err" || { fail 'a zero byte'; cat "$work/err"; }
[ "$(wc -l <"$work/out")" -eq 1 ] || fail 'lines before a zero byte are not answered'

printf '\357\273\277bright wheel\n\357\273\277bright wheel' >"$work/marked"
run 0 predict "$model" --data "$work/marked"
sed -n '$!p' "$work/out" | uniq | cmp -s - "$work/answer" || { fail 'a byte-order mark is taken for text'; cat "$work/out"; }

mkfifo "$work/pipe"
input=$work/pipe
interrupt TERM "ls $work/half.html*" predict "$model" --html "$work/half.html"
input=''
[ "$status" = 1 ] || fail "predict, interrupted, ends with $status"
grep -Fxq "classify: interrupted: $work/half.html is not written" "$work/err" || { fail 'predict is silent about an interruption'; cat "$work/err"; }
for file in "$work/half.html"*; do [ ! -e "$file" ] || fail "predict, interrupted, leaves $file"; done

# Who started it ignores Ctrl-C: so does it.
(trap '' INT; exec "$path" predict "$model" --html "$work/kept.html" <"$work/pipe" >"$work/out" 2>"$work/err") &
child=$!
exec 9>"$work/pipe"
waited=0
until ls "$work/kept.html"* >/dev/null 2>&1 || [ $waited = 3000 ] || ! kill -0 $child 2>/dev/null; do
    sleep 0.1
    waited=$((waited + 1))
done
kill -INT $child
echo 'bright wheel' >&9
exec 9>&-
wait $child || { fail 'Ctrl-C that is ignored ends predict'; cat "$work/err"; }
child=''
json lines=1

# A file for each label, and the other models.
for kind in bag conv; do
    # shellcheck disable=SC2086 # a list of words
    run 0 train --data "good=$work/good,bad=$work/bad" --valid "$data" --out "$work/$kind" --model $kind $small
    json command='"train"' epochs=3
    run 0 eval "$work/$kind" --data "good=$work/good,bad=$work/bad"
    json sentences=201
    run 0 predict "$work/$kind" --data "$work/lines"
    json lines=4
done
wrong 1 'classifier: the model has no attention' predict "$work/bag" --data "$work/lines" --html "$work/none.html"
[ ! -e "$work/none.html" ] || fail 'a page is left of a model without attention'

# Word vectors.
{ echo '2 8'; echo 'bright 1 0 0 0 0 0 0 0'; echo 'unheard 1 2 3 4 5 6 7 8'; } >"$work/vectors"
train 0 --vectors "$work/vectors"
grep -q "^1 of [0-9]* words have a vector in $work/vectors\$" "$work/err" || { fail 'silent about vectors'; cat "$work/err"; }
# shellcheck disable=SC2086 # a list of words
run 1 train --data "$data" --out "$work/unused" $small --embed 9 --vectors "$work/vectors"
grep -q "^classify: $work/vectors:[12]: .*8.*9" "$work/err" || { fail 'vectors of another size'; cat "$work/err"; }

# ---- cross-validation --------------------------------------------------------

# shellcheck disable=SC2086 # a list of words
run 0 cv --data "$data" --folds 3 --models recurrent,bag,conv $small
json command='"cv"' folds=3 sentences=201 recurrent_folds=3 recurrent_accuracy bag_accuracy conv_deviation interrupted=false
[ "$(grep -c '^[a-z]*  *fold  *[1-3]/3  accuracy ' "$work/out")" -eq 9 ] || { fail 'not each fold'; cat "$work/out"; }
# Mean and deviation of the accuracies printed, by hand; more than 1, so that the folds differ.
deviations=$(awk '/^recurrent *fold/ { x = $5; n++; sum += x; squares += x * x }
    END { d = sqrt((squares - sum * sum / n) / (n - 1)); printf "%d %.1f %.1f", (d > 1), sum / n, d }' "$work/out")
[ "$deviations" = "1 $(sed -n 's/.*"recurrent_accuracy": \([0-9.]*\), "recurrent_deviation": \([0-9.]*\),.*/\1 \2/p' "$work/out" |
    awk '{ printf "%.1f %.1f", 100 * $1, 100 * $2 }')" ] || { fail "mean and deviation are not $deviations"; cat "$work/out"; }
grep '^bag' "$work/out" | sed 's/, [0-9]* s$//' >"$work/folds"
# shellcheck disable=SC2086 # a list of words
run 0 cv --data "$data" --folds 3 --model bag $small
grep '^bag' "$work/out" | sed 's/, [0-9]* s$//' | cmp -s - "$work/folds" || { fail 'a model beside others has other folds'; cat "$work/out"; }
# shellcheck disable=SC2086 # a list of words
run 0 cv --data "$data" --folds 3 --only 1 --model bag $small
json bag_folds=1
wrong 2 '--cell: has an effect only with recurrent, which is not in --models bag,conv' cv --data "$work/none" --models bag,conv --cell gru
wrong 2 '--model: has an effect only without --models' cv --data "$work/none" --model conv --models bag
# shellcheck disable=SC2086 # a list of words
run 0 cv --data "$data" --folds 3 --only 2 --models bag,recurrent --cell gru --vectors "$work/vectors" $small
[ "$(grep -c ' words have a vector in ' "$work/err")" -eq 2 ] || { fail 'vectors are told of more than once for a kind'; cat "$work/err"; }
wrong 2 "--models bag,tree: 'tree' is none of recurrent|bag|conv" cv --data "$data" --models bag,tree
wrong 2 '--models bag,conv,bag: bag stands there twice' cv --data "$data" --models bag,conv,bag
wrong 2 '--models recurrent,bag,conv,bag: bag stands there twice' cv --data "$data" --models recurrent,bag,conv,bag

# Interrupted, it ends with the folds that were done.
# shellcheck disable=SC2086 # a list of words
interrupt $ctrl_c "grep -q fold $work/out" cv --data "$data" --folds 60 --models recurrent,conv $small --epochs 500 --patience 0 \
    --vectors "$work/vectors"
[ "$status" = 0 ] || { fail "cv, interrupted, ends with $status"; cat "$work/err"; }
done=$(grep -c '^recurrent *fold' "$work/out")
json interrupted=true recurrent_folds="$done"
[ "$done" -lt 60 ] || fail 'cv, interrupted, goes on'
[ "$(grep -c ' words have a vector in ' "$work/err")" -eq 1 ] || fail 'cv, interrupted, goes on with the next model'
grep -q '^Interrupted\.' "$work/err" || fail 'cv, interrupted, says nothing'

# ---- checkpoints -------------------------------------------------------------

untimed() { sed 's/, "tokens_per_s.*//' "$1"; }
train 0 --epochs 4 --log "$work/log"
mv "$model" "$work/whole"
untimed "$work/log" >"$work/whole.log"
train 0 --epochs 2 --checkpoint "$work/check" --log "$work/log"
train 0 --epochs 4 --checkpoint "$work/check" --log "$work/log" --resume
cmp -s "$model" "$work/whole" || fail 'a resumed training makes another model'
untimed "$work/log" | cmp -s - "$work/whole.log" || fail 'a resumed training has another log'
train 1 --epochs 4 --checkpoint "$work/check" --resume --pool mean
grep -Fq "classify: $work/check: is of another training: pool is \"attention\", not \"mean\"" "$work/err" || { fail 'another model goes on'; cat "$work/err"; }

{ echo '1 8'; echo 'bright 1 0 0 0 0 0 0 0'; } >"$work/other.vectors"
rm -f "$work/check"*
train 0 --vectors "$work/vectors" --checkpoint "$work/check" --resume
train 0 --vectors "$work/vectors" --checkpoint "$work/check" --resume --epochs 4
train 0 --vectors "$work/other.vectors" --checkpoint "$work/check" --resume --epochs 5
{ echo '1 8'; echo 'bright 2 0 0 0 0 0 0 0'; } >"$work/other.vectors"
train 1 --vectors "$work/other.vectors" --checkpoint "$work/check" --resume --epochs 6
grep -Fq "classify: $work/check: is of another training: initial word vectors is " "$work/err" || { fail 'other vectors go on'; cat "$work/err"; }

# ---- a mistake in the command ------------------------------------------------

wrong 2 'there is no command (see classify --help)'
wrong 2 '--data FILE is missing (see classify train --help)' train
wrong 2 '--model forest: expected one of recurrent|bag|conv' train --data "$data" --model forest
wrong 2 '--cell: has an effect only with --model recurrent, not bag' train --data "$work/none" --model bag --cell gru
wrong 2 '--layers: has an effect only with --model recurrent|bag, not conv' cv --data "$work/none" --model conv --layers 2
wrong 2 '--metric f1: expected one of loss|accuracy' train --data "$work/none" --metric f1
wrong 2 '--pool sum: expected one of last|mean|max|attention' train --data "$data" --pool sum
wrong 2 '--directions 3: expected a whole number from 1 to 2' train --data "$data" --directions 3
wrong 2 '--folds 1: expected a whole number from 2 to 1000' cv --data "$data" --folds 1
wrong 2 'expected MODEL (see classify predict --help)' predict

# ---- files that are not what they should be ----------------------------------

printf 'good\tone\ntwo\n' >"$work/columns"
printf 'good\tone\n\ttwo\n' >"$work/nolabel"
printf 'ab\0cd\n' >"$work/binary"
head -n 5 "$data" >"$work/five"
sed -n '/^good/p' "$data" >"$work/same"
{ cat "$data"; printf 'odd\tone\nodd\ttwo\nnew\tone\n'; } >"$work/unseen"
: >"$work/empty"
wrong 1 "$work/columns:2: 1 column between tabs, expected 2" train --data "$work/columns"
wrong 1 "$work/nolabel:2: column 1 is empty" train --data "$work/nolabel"
wrong 1 "$work/binary: is not text: byte 2 is zero" train --data "$work/binary"
wrong 1 "$work/empty: is empty" train --data "$work/empty"
wrong 1 "$work/none: cannot be read: No such file" train --data "$work/none"
wrong 1 "$work/none: cannot be read: No such file" train --data "good=$work/good,bad=$work/none"
wrong 1 "$work/five: 5 sentences, too few to validate on a tenth: give --valid" train --data "$work/five"
wrong 1 'classifier: 1 label, expected 2 to 4096' train --data "$work/same" --valid "$work/same"
wrong 1 'classifier: 5 labelled sentences for 10 parts' cv --data "$work/five"
run 0 eval "$model" --data "$work/unseen"
json unseen_labels=3 sentences=204
grep -Fxq "classify: 3 of 204 sentences have a label that training had not, and count as wrong: 'odd' 2, 'new' 1" "$work/err" ||
    { fail 'silent about unseen labels'; cat "$work/err"; }
train 0 --valid "$work/unseen"
grep -Fq "classify: 3 of 204 sentences have a label that training had not, and count as wrong: 'odd' 2, 'new' 1" "$work/err" ||
    { fail 'training is silent about unseen labels'; cat "$work/err"; }
wrong 1 "$work/binary:1: is not text" predict "$model" --data "$work/binary"
wrong 1 "$work/none: cannot be read: No such file" predict "$model" --data "$work/none"
wrong 1 "$work: cannot be read: Is a directory" predict "$model" --data "$work"
wrong 1 "$data: is no safetensors file" eval "$data" --data "$data"
# shellcheck disable=SC1003 # a backslash
printf '\002\0\0\0\0\0\0\0{}' >"$work/other"
wrong 1 "$work/other: is a model of the kind 'unknown', not 'spindle.classifier 1'" predict "$work/other"
run 0 predict "$model" --data "$work/empty"
json lines=0

# Sentences of 10,000 words, to train on and to label.
awk 'BEGIN { for (k = 0; k < 2; k++) { printf "%s\t", k ? "good" : "bad"; for (i = 0; i < 10000; i++) printf "wheel "; print "" } }' >"$work/long"
cat "$data" >>"$work/long"
for kind in recurrent bag conv; do
    # shellcheck disable=SC2086 # a list of words
    run 0 train --data "$work/long" --valid "$work/long" --out "$work/kind" --model $kind $small --epochs 1
    run 0 predict "$work/kind" --data "$work/long"
    json lines=203
done

for option in out log graph checkpoint plot; do
    for place in "$work/none/x" "$work"; do
        # shellcheck disable=SC2086 # a list of words
        run 1 train --data "$data" --out "$work/unused" $small "--$option" "$place"
        grep -q "^classify: $place: cannot be written: " "$work/err" || { fail "--$option $place"; cat "$work/err"; }
    done
done
[ ! -e "$work/unused" ] || fail 'a model was written though training did not begin'
wrong 1 "$work/none/x: cannot be written" predict "$work/first" --data "$work/lines" --html "$work/none/x"
wrong 2 "--out $data is the file of --data" train --data "$data" --out "$data"
wrong 2 "--log $work/bad is the file of --data" train --data "good=$work/good,bad=$work/bad" --log "$work/bad"
cp "$data" "$work/x=y"
wrong 2 "--out $work/x=y is the file of --data" train --data "$work/x=y" --out "$work/x=y"
wrong 2 "--html $work/lines is the file of --data" predict "$work/first" --data "$work/lines" --html "$work/lines"
if [ -c /dev/full ]; then
    "$path" eval "$model" --data "$data" >/dev/full 2>"$work/err" && fail 'does not see that its result is lost'
    grep -q '^classify: the results could not be written' "$work/err" || fail 'silent about a lost result'
fi
"$path" predict "$work/first" --html "$work/page.html" <"$work/lines" >&- 2>"$work/err" && fail 'does not see that standard output is closed'
[ "$(cat "$work/err")" = 'classify: the results could not be written' ] || fail "closed standard output: $(cat "$work/err")"
! grep -q '	' "$work/page.html" || fail 'a page has what belongs on standard output, which is closed'

# Settings are looked at before any data.
wrong 1 "$work/none/x: cannot be written" train --data "$work/none" --out "$work/none/x"
wrong 1 "$work/none/x: cannot be written" train --data "$work/none" --out "$work/unused" --graph "$work/none/x"
wrong 2 'training: there is no checkpoint to resume from' train --data "$work/none" --out "$work/unused" --resume

# ---- the demo ----------------------------------------------------------------

run 0 demo --out "$work/demo" --epochs 1 --threads 64
json command='"demo"' accuracy bag_accuracy best_accuracy=0.952
[ "$(grep -c '^64 threads, but a batch has work for 2$' "$work/err")" -eq 2 ] || { fail 'the demo drops --threads'; cat "$work/err"; }
[ "$(grep -c '<tr><td' "$work/demo/attention.html")" -eq 50 ] || fail 'the page of the demo has not 50 sentences'
for file in recurrent.safetensors bag.safetensors log.jsonl attention.html; do
    [ -s "$work/demo/$file" ] || fail "the demo leaves no $file"
done

# Each place it writes to is looked at before it trains.
mkdir -p "$work/blocked/attention.html"
wrong 1 "$work/blocked/attention.html: cannot be written: " demo --out "$work/blocked"

# In its first training, or about the end of it; told once, and what is there is named.
for epochs in 30 1; do
    rm -rf "$work/between"
    interrupt $ctrl_c "test -s $work/between/bag.safetensors" demo --out "$work/between" --epochs $epochs
    [ "$status" = 0 ] || fail "the demo, interrupted in its first training, ends with $status"
    [ "$(grep -c '^Interrupted' "$work/err")" -eq 1 ] || { fail 'the demo, interrupted in its first training: not one message'; cat "$work/err"; }
    json interrupted=true
    grep -q "bag of words $work/between/bag.safetensors" "$work/out" || { fail 'the demo does not name its first model'; cat "$work/out"; }
done

# The bag of words before it is quick.
stop_demo recurrent.safetensors --epochs 30

finish
