#!/bin/sh
# lm and the teaching programs as a person meets them: what they print, where, and the status they end with.

# shellcheck source=tests/cli.inc
. "${SPINDLE_SRC:?}/tests/cli.inc"

# A small text, always the same, with a rare letter, and umlauts.
text=$work/text
awk 'BEGIN {
    n = split("spindle turns the wheel and pulls a thread from wool while rain falls grün", word, " ")
    for (i = 0; i < 120; i++) {
        for (j = 0; j < 6; j++) { seed = (seed * 69 + 17) % 1009; printf "%s%s", j ? " " : "", word[seed % n + 1] }
        print ""
    }
}' >"$text"
model=$work/model
# train STATUS OPTION...: the smallest training there is
small='--hidden 8 --embed 8 --layers 1 --batch 5 --bptt 20 --epochs 2'
# shellcheck disable=SC2086 # a list of words
train() { expected=$1; shift; run "$expected" train --data "$text" --out "$model" $small "$@"; }

# ---- help --------------------------------------------------------------------

for command in '' train sample eval score demo; do
    # shellcheck disable=SC2086 # none is none
    run 0 $command --help
    grep -q '^Usage: lm' "$work/out" || fail "lm $command --help: no usage"
    [ ! -s "$work/err" ] || fail "lm $command --help: writes on standard error"
done
run 0 --version
grep -q '^spindle [0-9.]*, BLIS kernels: [a-z]' "$work/out" || fail '--version'

# ---- what it is for ----------------------------------------------------------

train 0 --log "$work/log" --graph "$work/graph.dot"
json command='"train"' epochs=2 interrupted=false train_loss valid_loss best_valid_loss best_epoch tokens_per_s seconds
[ "$(wc -l <"$work/log")" -eq 2 ] || fail 'the log has not one line an epoch'
grep -q '^digraph' "$work/graph.dot" || fail 'no graph'
[ "$(grep -c '^epoch [12]/2: ' "$work/err")" -eq 2 ] || fail 'not one line an epoch on standard error'
[ "$(ls "$work"/model* "$work"/log*)" = "$work/log
$model" ] || fail 'more than the model and the log is left'

run 0 sample "$model" --prime 'the grün' --length 50 --seed 3
json command='"sample"' symbols=50 seed=3 log_probability
grep -q '^the grün' "$work/out" || fail 'the sample does not begin with the prime'
cp "$work/out" "$work/first"
run 0 sample "$model" --prime='the grün' --length=50 --seed=3
cmp -s "$work/first" "$work/out" || fail 'the same seed writes another sample'
run 0 sample "$model" --length 20 --temperature 0 --top-k 3 --top-p 0.5
json symbols=20
# Text i is the same however many there are.
run 0 sample "$model" --length 30 --count 3 --seed 9
json texts=3 symbols=90
grep -v '^{' "$work/out" >"$work/three"
run 0 sample "$model" --length 30 --count 2 --seed 9
grep -v '^{' "$work/out" >"$work/two"
head -n "$(wc -l <"$work/two")" "$work/three" | cmp -s - "$work/two" || fail 'a text depends on how many there are'
[ "$(grep -c '^---- [123], ln p -[0-9.]* ----$' "$work/three")" -eq 3 ] || fail 'not three texts'

run 0 eval "$model" --data "$text"
json command='"eval"' symbols="$(LC_ALL=C tr -d '\200-\277' <"$text" | wc -c | tr -d ' ')" unknown=0 nats bits perplexity
printf 'the wheel\n\nwool Ж\n' | "$path" score "$model" >"$work/out" 2>"$work/err" || fail 'score fails'
json command='"score"' lines=3 log_probability
[ "$(grep -c '^-[0-9.]*	' "$work/out")" -eq 3 ] || fail 'score does not print each line'
[ "$(cat "$work/err")" = 'lm: line 3: 1 symbol(s) that the model has never seen' ] || fail 'score is silent about what it does not know'

# Words, ties, dropout, a text to validate on that has words of its own; also bytes that are not UTF-8.
{ cat "$text"; printf 'caf\351 caf\351\n'; } >"$work/latin"
echo 'a few unseen words and a line to follow' | cat - "$text" >"$work/valid"
run 0 train --data "$work/latin" --valid "$work/valid" --out "$work/words" --level word --cell gru --tied --hidden 8 \
    --embed 8 --batch 4 --bptt 10 --epochs 1 --dropout 0.1 --vocab 1000
grep -q 'of the symbols to validate on are unknown' "$work/err" || fail 'silent about unknown words'
run 0 sample "$work/words" --prime 'the <unk>
' --length 5
sed -n 1p "$work/out" | grep -q '^the <unk>$' || fail 'a prime may have <unk>'
sed -n 2p "$work/out" | grep -q '^ ' && fail 'a line begins with a space'
run 0 sample "$work/words" --prime 'the wheel' --length 5
grep -q '^the wheel\( \|$\)' "$work/out" || fail 'words are not apart'
run 0 eval "$work/words" --data "$work/latin"
json unknown=0
printf 'nothing known here\n' >"$work/strange"
run 0 eval "$work/words" --data "$work/strange"
json symbols=4 unknown=3
[ "$(cat "$work/err")" = '3 of 4 symbols are unknown' ] || fail 'silent about unknown words'
printf '\357\273\277the <unk> wheel' >"$work/strange2"
run 0 eval "$work/words" --data "$work/strange2"
json symbols=4 unknown=0
# score and eval read a line alike: a byte-order mark, a carriage return, a zero byte.
printf '\357\273\277the wheel\r\n' | "$path" score "$work/words" >"$work/out" 2>"$work/err" || fail 'score fails on a byte-order mark'
[ ! -s "$work/err" ] || fail "score takes a byte-order mark for a word: $(cat "$work/err")"
printf 'the wheel\n' | "$path" score "$work/words" | cmp -s - "$work/out" || fail 'a byte-order mark or a carriage return changes a score'
printf 'the wheel\nthe\0wheel\n' | "$path" score "$work/words" >"$work/out" 2>"$work/err" && fail 'score takes a zero byte'
grep -Fxq 'lm: standard input:2: is not text: a byte is zero' "$work/err" || fail "score, a zero byte: $(cat "$work/err")"
[ "$(grep -c '	the wheel$' "$work/out")" -eq 1 ] || fail 'score does not answer what is before a zero byte'
awk 'BEGIN { for (i = 0; i < 10000; i++) printf "wheel "; print "" }' >"$work/long"
"$path" score "$work/words" <"$work/long" >"$work/out" 2>"$work/err" || fail 'score fails on a sentence of 10,000 words'
json lines=1

# As with the Penn Treebank: three files, an end in each line, perplexity, the best model on the test file; DOS lines are the same.
sed 's/$/\r/' "$text" >"$work/dos"
for lines in text dos; do
    run 0 train --data "$work/$lines" --valid "$text" --test "$work/strange" --out "$work/three" --level word --tied --hidden 8 --embed 8 \
        --batch 4 --bptt 10 --epochs 1 --dropout 0.1 --variational --embed-dropout 0.1 --weight-drop 0.1 --log "$work/$lines.log"
    json best_valid_perplexity test_loss test_perplexity
    mv "$work/three" "$work/$lines.model"
done
cmp -s "$work/text.model" "$work/dos.model" || fail 'a carriage return is part of a word'
run 0 train --data "$text" --split 70,20,10 --out "$work/three" --hidden 8 --embed 8 --batch 4 --bptt 10 --epochs 1 --adaptive 5
json best_valid_bits test_bits test_loss
head -c 600 "$text" >"$work/last_part"
run 0 train --data "$text" --valid "$text" --test "$work/last_part" --out "$work/three" --hidden 8 --embed 8 --batch 4 --bptt 10 --epochs 1
tested=$(sed -n 's/.*"test_loss": \([0-9.]*\).*/\1/p' "$work/out")
run 0 eval "$work/three" --data "$work/last_part"
json nats="$tested"
run 0 sample "$work/three" --length 20 --count 2
printf 'the wheel\n' | "$path" score "$work/three" >"$work/out" || fail 'score fails with an adaptive softmax'

# Dynamic evaluation: the file stays, and a text of another kind is predicted better.
tr 'a-y' 'b-z' <"$text" >"$work/shifted"
cp "$model" "$work/kept"
run 0 eval "$model" --data "$work/shifted" --batch 1
json dynamic=false
still=$(sed -n 's/^\([0-9.]*\) nats.*/\1/p' "$work/out")
run 0 eval "$model" --data "$work/shifted" --batch 1 --dynamic
json dynamic=true
moved=$(sed -n 's/^\([0-9.]*\) nats.*/\1/p' "$work/out")
awk -v a="$moved" -v b="$still" 'BEGIN { exit !(a < b - 0.2) }' || fail "dynamic evaluation: $moved, static $still"
run 0 eval "$model" --data "$work/shifted" --dynamic --rate 0.002 --train "$text"
run 0 eval "$model" --data "$work/shifted" --batch 1 --dynamic --rate 0 --window 64
[ "$(sed -n 's/^\([0-9.]*\) nats.*/\1/p' "$work/out")" = "$still" ] || fail 'a rate of 0 is not static evaluation'
cmp -s "$model" "$work/kept" || fail 'dynamic evaluation changes the model'
run 0 eval "$model" --data "$work/shifted" --dynamic
[ "$(sed -n 's/^\([0-9.]*\) nats.*/\1/p' "$work/out")" = "$moved" ] || fail 'dynamic evaluation is not of one stream'
run 0 eval "$model" --data "$work/shifted" --dynamic --rate 100
grep -q '^[0-9.]* nats are more than the [0-9.]* of a guess: lower --rate$' "$work/err" || fail 'silent about a rate too high'
for option in '--rate 1' '--decay 1' '--window 1' "--train $text"; do
    # shellcheck disable=SC2086 # an option and its value
    wrong 2 "${option%% *}: has an effect only with --dynamic (see lm eval --help)" eval "$model" --data "$text" $option
done

run 0 demo --text grammar --epochs 1 --out "$work/demo"
json command='"demo"' best_possible_loss bigram_loss best_valid_loss
grep -q '^  best possible   2\.9[0-9]*, so this model is [0-9.]* % above it$' "$work/out" || fail 'the demo does not tell how good it is'

# ---- the same seed, the same model -------------------------------------------

train 0 --dropout 0.2 --seed 7
mv "$model" "$work/first"
train 0 --dropout 0.2 --seed 7
cmp -s "$model" "$work/first" || fail 'the same seed makes another model'
train 0 --dropout 0.2 --seed 8
! cmp -s "$model" "$work/first" || fail 'another seed makes the same model'
train 0 --dropout 0.2 --batch 128 --bptt 10 --threads 1
mv "$model" "$work/one"
train 0 --dropout 0.2 --batch 128 --bptt 10 --threads 3
cmp -s "$model" "$work/one" || fail 'three threads make another model'

# 3 MB, less than two layers want, in segments; and 1, which is too little. On standard error is the whole message.
long='--hidden 32 --embed 8 --layers 2 --batch 5 --bptt 400 --epochs 1'
# shellcheck disable=SC2086 # a list of words
run 0 train --data "$text" --out "$model" $long
mv "$model" "$work/free"
# shellcheck disable=SC2086 # a list of words
run 0 train --data "$text" --out "$model" $long --memory 3
cmp -s "$model" "$work/free" || fail 'less memory makes another model'
# shellcheck disable=SC2086 # a list of words
run 1 train --data "$text" --out "$model" $long --memory 1
grep -q '^lm: rnn.l0.lstm: scan: [0-9]* steps of 5 sequences need a budget of [0-9]* bytes, not 524288 (--memory 1 is shared by layers x shards, 2 x 1)' "$work/err" || fail 'no least memory'

# ---- what the time goes into -------------------------------------------------

# profiled ROW...: a table with these rows, and some number of calls in each, is on standard error
profiled()
{
    grep -q '^operation  *calls  *seconds  *share  *GFLOP/s  *GB/s$' "$work/err" || { fail 'no profile:'; cat "$work/err"; }
    for row; do
        grep -q "^$row  *[1-9][0-9]*  *[0-9.]*  *[0-9.]* %  *[-0-9.]*  *[-0-9.]*\$" "$work/err" || fail "no '$row' in the profile"
    done
    tail -n 1 "$work/err" | grep -q ' GFLOP/s a thread, .* of the peak, the [0-9.]* of a product of 1024^3; BLIS kernels: [a-z]' || fail 'the profile has another end'
}
train 0 --dropout 0.2 --seed 7 --profile
profiled affine 'affine backward' lstm_gates scan 'scan backward' adam clip_norm total
json command='"train"'
cmp -s "$model" "$work/first" || fail 'a profile makes another model'
run 0 sample "$model" --length 50 --profile
profiled affine lstm_gates total
json command='"sample"'
run 0 eval "$model" --data "$text" --profile
profiled affine cross_entropy total
json command='"eval"'
printf 'the wheel\n' | "$path" score "$model" --profile >"$work/out" 2>"$work/err" || fail 'score --profile fails'
profiled affine total
run 0 eval "$model" --data "$text"
[ ! -s "$work/err" ] || fail 'a profile that nobody asked for'

# ---- a mistake in the command ------------------------------------------------

wrong 2 'there is no command (see lm --help)'
wrong 2 "'tain' is no command (see lm --help)" tain
wrong 2 '--hiden: no such option (see lm train --help)' train --data "$text" --hiden 3
wrong 2 '--data FILE is missing (see lm train --help)' train
wrong 2 '--data: expected a value behind it' train --data
wrong 2 '--hidden 0: expected a whole number from 1 to 65536' train --data "$text" --hidden 0
wrong 2 '--threads 0: expected a whole number from 1 to 64' train --data "$text" --threads 0
wrong 2 '--hidden 1x: expected a whole number' train --data "$text" --hidden 1x
wrong 2 '--dropout 1: expected a number from 0 to 0.99' train --data "$text" --dropout 1
wrong 2 'training: decay 1: plateau lowers the rate by a factor below 1' train --data "$work/none" --schedule plateau --decay 1
wrong 2 'training: every 3: there is no checkpoint to write' train --data "$work/none" --every 3
wrong 2 '--metric accuracy: expected one of loss' train --data "$work/none" --metric accuracy
wrong 2 '--lr nan: expected a number' train --data "$text" --lr nan
wrong 2 '--cell lsdm: expected one of rnn|relu|lstm|gru|' train --data "$text" --cell lsdm
wrong 2 '--tied=1: --tied takes no value' train --data "$text" --tied=1
wrong 2 "'$text': unexpected (see lm train --help)" train "$text"
wrong 2 'expected MODEL (see lm sample --help)' sample
wrong 2 '--data FILE is missing (see lm eval --help)' eval "$model"
wrong 2 "'more': unexpected" score "$model" more

# ---- files that are not what they should be ----------------------------------

: >"$work/empty"
printf 'x' >"$work/one"
printf 'abcde' >"$work/five"
printf 'ab\0cd' >"$work/binary"
head -c 90 "$text" >"$work/short"
printf ' \n' >"$work/blank"
wrong 1 "$work/none: cannot be read: No such file or directory" train --data "$work/none"
wrong 1 "$work: cannot be read: Is a directory" train --data "$work"
wrong 1 "$work/empty: is empty" train --data "$work/empty"
wrong 1 "$work/one: 1 symbols to train on, expected 2 or more" train --data "$work/one"
wrong 1 "$work/binary: is not text: byte 2 is zero" train --data "$work/binary"
wrong 1 '81 symbols to train on, but one window of a batch of 5 streams over bptt 20 steps needs 101' \
    train --data "$work/short" --batch 5 --bptt 20
wrong 1 '5 symbols to validate on, but a batch of 5 streams needs 6' \
    train --data "$text" --valid "$work/five" --batch 5 --bptt 20
wrong 1 "$work/blank: 1 symbols to train on, expected 2 or more" train --data "$work/blank" --level word
wrong 2 "tied weights need equal sizes, but embed is 4 and the cells' output 5" train --data "$work/none" --tied --embed 4 --hidden 5
wrong 1 "$work/one: 1 symbols to test on, expected 2 or more" train --data "$text" --test "$work/one"
wrong 2 'split 80,30: expected two or three whole percents' train --data "$text" --split 80,30
wrong 2 "split 80,10,10: but there is $text to test on" train --data "$work/none" --test "$text" --split 80,10,10
wrong 2 '--split: has an effect only without --valid (see lm train --help)' train --data "$text" --valid "$text" --split 90,10
wrong 1 "$work/empty: is empty" train --data "$text" --test "$work/empty"
wrong 1 'adaptive softmax: 500 symbols in the head, but there are ' train --data "$text" --adaptive 500
wrong 2 'tied weights and an adaptive softmax (5 symbols in its head) exclude each other' train --data "$text" --tied --adaptive 5
wrong 1 "$work/one: 1 bytes are no safetensors file" sample "$work/one"
wrong 1 "$text: is no safetensors file" sample "$text"
wrong 1 "$text: is no safetensors file" eval "$text" --data "$text"
wrong 1 "$text: is no safetensors file" score "$text"
wrong 1 "$work/none: cannot be read: No such file or directory" sample "$work/none"
# shellcheck disable=SC1003 # a backslash
printf '\002\0\0\0\0\0\0\0{}' >"$work/other"
wrong 1 "$work/other: is a model of the kind 'unknown', not 'spindle.lm 2'" sample "$work/other"
wrong 1 "--prime: the model has never seen 'Ж'" sample "$model" --prime 'the Ж'
wrong 1 "$work/one/below: cannot be read: Not a directory" eval "$model" --data "$work/one/below"
cp "$text" "$work/copy"
wrong 2 "--log $work/copy is the file of --data" train --data "$work/copy" --log "$work/copy"
wrong 2 "--out $work/./copy is the file of --data" train --data "$work/copy" --out "$work/./copy"
wrong 2 "--checkpoint $work/copy.old is the file of --data" train --data "$work/./copy.old" --checkpoint "$work/copy"
wrong 2 "--checkpoint $work/copy.new is the file of --out" train --data "$text" --out "$work/copy.new" --checkpoint "$work/copy"
wrong 2 "--plot $work/copy.old is the file of --checkpoint" train --data "$text" --plot "$work/copy.old" --checkpoint "$work/copy"
wrong 2 "--log $work/./new is the file of --out" train --data "$text" --out "$work/new" --log "$work/./new"
ln -s "$work/target" "$work/dangling"
wrong 1 "--out $work/dangling: is a link to a file that is not there" train --data "$text" --out "$work/dangling" --log "$work/target"
rm "$work/dangling"
ln -s "$work/copy" "$work/link"
wrong 2 "--log $work/link is the file of --data" train --data "$work/copy" --log "$work/link"
wrong 2 "--log $work/new is the file of --out" train --data "$text" --out "$work/./new" --log "$work/new"
ln -s "$work" "$work/folder"
wrong 2 "--log $work/folder/new is the file of --out" train --data "$text" --out "$work/new" --log "$work/folder/new"
mkdir "$work/deep"
cp "$text" "$work/deep/check"
ln -sf "$work/deep/check" "$work/link"
wrong 2 "--log $work/deep/check.old is the file of --checkpoint" train --data "$text" --checkpoint "$work/link" --log "$work/deep/check.old"
rm "$work/link" "$work/folder"
run 0 train --data "$text" --hidden 8 --embed 8 --batch 5 --bptt 20 --epochs 1 --out /dev/null --log /dev/null
cmp -s "$text" "$work/copy" || fail 'a text was overwritten'
wrong 1 'evaluation needs 2 symbols or more, there are 1' eval "$model" --data "$work/one"

# ---- places where nothing can be written: said before training begins --------

for option in out log graph; do
    for place in "$work/none/x" "$work"; do
        wrong 1 "$place: cannot be written: " train --data "$text" --batch 5 --bptt 20 --out "$work/unused" "--$option" "$place"
    done
done
[ ! -e "$work/unused" ] || fail 'a model was written though training did not begin'

# full NAME ARGUMENT...: lm while no file may grow over a few blocks: $model stays what it was
full()
{
    name=$1
    shift
    cp "$work/first" "$model"
    status=$(trap '' XFSZ; ulimit -f 4; "$path" "$@" >/dev/null 2>"$work/err"; echo $?)
    [ "$status" = 1 ] || fail "$name: ends with $status, not 1"
    [ "$(grep -c '^lm: ' "$work/err")" -eq 1 ] || { fail "$name: not one line of error:"; cat "$work/err"; }
    grep -q "^lm: $model: writing failed: .*what was there before is unchanged" "$work/err" || fail "$name: $(cat "$work/err")"
    cmp -s "$model" "$work/first" || fail "$name: the old model is damaged"
    for left in "$model".*.new; do [ ! -e "$left" ] || fail "$name: half a model is left: $left"; done
}
full 'a full disk' train --data "$text" --out "$model" --batch 5 --bptt 20 --epochs 1 --hidden 30 --embed 8 --layers 1
if [ -c /dev/full ]; then
    "$path" eval "$model" --data "$text" >/dev/full 2>"$work/err" && fail 'does not see that its result is lost'
    grep -q '^lm: the results could not be written' "$work/err" || fail 'silent about a lost result'
    "$path" train --help >/dev/full 2>"$work/err" && fail 'does not see that its help is lost'
fi
# Closed: no file takes their place.
cp "$model" "$work/kept"
"$path" sample "$model" --length 5 >&- 2>"$work/err" && fail 'does not see that standard output is closed'
[ "$(cat "$work/err")" = 'lm: the results could not be written' ] || fail "closed standard output: $(cat "$work/err")"
"$path" score "$model" <&- >"$work/out" 2>"$work/err" && fail 'does not see that standard input is closed'
grep -q '^lm: standard input: cannot be read: ' "$work/err" || fail "closed standard input: $(cat "$work/err")"
"$path" train --data "$text" --out "$model" --batch 5 --bptt 20 --epochs 1 --log "$work/log" >"$work/out" 2>&- || fail 'needs standard error'
[ "$(wc -l <"$work/log")" -eq 1 ] || fail 'closed standard error: the log has other lines'
cp "$work/kept" "$model"

# ---- Ctrl-C ------------------------------------------------------------------

# The result is of the last epoch finished, as the last line of the log is.
rm -f "$model" "$work/log"
# shellcheck disable=SC2086 # a list of words
interrupt $ctrl_c "test -s $work/log" train --data "$text" --out "$model" $small --epochs 1000000 --log "$work/log"
[ "$status" = 0 ] || fail "Ctrl-C: ends with $status, not 0"
json interrupted=true epochs best_valid_loss
json epochs="$(grep -c . "$work/log")"
for key in train_loss valid_loss; do
    json $key="$(sed -n '$s/.*"'$key'": \([^,]*\),.*/\1/p' "$work/log")"
done
grep -q "^Interrupted in epoch [0-9]*\. $model holds the best model so far" "$work/err" || fail 'Ctrl-C: no message'
run 0 sample "$model" --length 5
rm -f "$model"
interrupt $ctrl_c "test -s $work/first.check" train --data "$text" --out "$model" --hidden 8 --embed 8 --batch 1 --bptt 1 --epochs 2 --every 1 \
    --checkpoint "$work/first.check"
[ "$status" = 0 ] || fail "Ctrl-C in the first epoch: ends with $status"
json interrupted=true epochs=0 best_epoch=0 train_loss=null valid_loss=null best_valid_loss
run 0 sample "$model" --length 5
# After training it ends at once. A step of nothing is no better.
i=0
while [ $i -lt 400 ]; do cat "$text"; i=$((i + 1)); done >"$work/much"
interrupt $ctrl_c "grep -q ^No.better $work/err" train --data "$text" --test "$work/much" --out "$model" --hidden 64 --batch 5 --bptt 20 \
    --optimizer sgd --lr 1e-9 --clip 1e-9 --patience 1
[ "$status" -gt 128 ] || fail "Ctrl-C after training: ends with $status"
stop_demo lm.safetensors --text grammar

# ---- checkpoints: killed at any moment, the same model in the end ------------

# untimed LOG: without what a clock says
untimed() { sed 's/, "tokens_per_s.*//' "$1"; }

# longer STATUS OPTION...: a training with a checkpoint every few steps
longer()
{
    expected=$1
    shift
    train "$expected" --epochs 6 --dropout 0.2 --optimizer adamw --schedule cosine --warmup 5 --average 0.9 --every 20 --clip 1 \
        --log "$work/log" --checkpoint "$work/check" "$@"
}
longer 0 --plot "$work/curve.svg"
json interrupted=false epochs=6
mv "$model" "$work/first"
untimed "$work/log" >"$work/first.log"
if command -v gnuplot >/dev/null; then
    grep -q '</svg>' "$work/curve.svg" || fail 'no picture'
else
    grep -q "$work/curve.svg: no picture: gnuplot is not installed" "$work/err" || fail 'silent about a picture that is not there'
fi
longer 1
grep -Fq "lm: $work/check: is there already: resume goes on from it, remove it to begin anew" "$work/err" || fail "no --resume: $(cat "$work/err")"
longer 0 --resume
json epochs=6
cmp -s "$model" "$work/first" || fail 'the model is not there again when its training is resumed'
echo foreign >"$work/foreign"
longer 0 --resume --test "$text" --out "$work/foreign"
json test_loss
cmp -s "$work/foreign" "$work/first" || fail 'resumed with another model file: another model'
untimed "$work/log" | cmp -s - "$work/first.log" || fail 'what is done changes when it is resumed'
longer 1 --resume --lr 0.1
grep -Fq "lm: $work/check: is of another training: lr is 0.002, not 0.1" "$work/err" || fail "another rate: $(cat "$work/err")"
longer 1 --resume --hidden 9
grep -Fq "$work/check: is of another training: hidden is 8, not 9" "$work/err" || fail "another model: $(cat "$work/err")"
cp "$text" "$work/text2"
echo more >>"$work/text2"
longer 1 --resume --data "$work/text2"
grep -q "$work/check: is of another training: .*text is " "$work/err" || fail "another text: $(cat "$work/err")"
untimed "$work/log" | cmp -s - "$work/first.log" || fail 'what is refused changes the log'
wrong 2 'training: there is no checkpoint to resume from' train --data "$text" --out "$work/unused" --batch 5 --bptt 20 --resume

rm -f "$model" "$work/log" "$work/check" "$work/check.old"
kills=0
for pause in 0.02 0.05 0.03 0.1 0.06 0.15 0.04 0.08; do
    # shellcheck disable=SC2086
    "$path" train --data "$text" --out "$model" $small --epochs 6 --dropout 0.2 --optimizer adamw --schedule cosine --warmup 5 \
        --average 0.9 --every 20 --clip 1 --log "$work/log" --checkpoint "$work/check" --resume >"$work/out" 2>"$work/err" </dev/null &
    child=$!
    sleep $pause
    kill -9 $child 2>/dev/null && kills=$((kills + 1))
    wait $child 2>/dev/null
    child=''
done
longer 0 --resume
cmp -s "$model" "$work/first" || fail "killed $kills times: another model"
untimed "$work/log" | cmp -s - "$work/first.log" || fail "killed $kills times: another log"
head -c 700 "$work/check" >"$work/cut" && mv "$work/cut" "$work/check"
longer 0 --resume
grep -q "^$work/check: .*cut short.*; going on from $work/check.old, epoch 6, " "$work/err" || fail "cut short: $(cat "$work/err")"
cmp -s "$model" "$work/first" || fail 'cut short: another model'

# A full disk: the training ends, and what was saved stays.
rm -f "$work/check" "$work/check.old"
status=$(trap '' XFSZ; ulimit -f 8; "$path" train --data "$text" --out /dev/null --batch 5 --bptt 20 --epochs 3 --hidden 12 --embed 8 \
    --layers 1 --checkpoint "$work/check" >/dev/null 2>"$work/err"; echo $?)
[ "$status" = 1 ] || fail "a checkpoint on a full disk: ends with $status, not 1"
grep -q "^lm: $work/check.new: writing failed: " "$work/err" || fail "a checkpoint on a full disk: $(cat "$work/err")"
for place in "$work/none/x" "$work"; do
    for option in checkpoint plot; do
        wrong 1 "$place: cannot be written: " train --data "$text" --batch 5 --bptt 20 --out "$work/unused" "--$option" "$place"
    done
done
rm -f "$work/log"

# ---- patience, and a rate that is too high -----------------------------------

train 0 --epochs 50 --lr 3 --patience 2 --optimizer sgd --clip 0.001 --schedule plateau
grep -q '^No better in 2 epochs, so that was all\. .* is the model of epoch [0-9]*\.$' "$work/err" || [ "$(grep -c ^epoch "$work/err")" -eq 50 ] ||
    fail 'patience without an end'
train 1 --epochs 3 --lr 100 --optimizer sgd --clip 0 --cell relu
grep -q "^lm: training: .* became .* in step [0-9]*: " "$work/err" || fail "a rate too high: $(cat "$work/err")"

# ---- the teaching programs ---------------------------------------------------

examples/hello >"$work/out" || fail 'hello fails'
while read -r line; do
    tr -s ' ' <"$work/out" | grep -Fqx "$line" || fail "hello does not print: $line"
done <<END
state 0.50 0.73 0.27 0.50
scores -0.02 0.50 -0.10 0.23
softmax 0.20 0.34 0.19 0.26
h -> e
he -> l
hel -> l
hell -> o
END
examples/custom_cell >"$work/out" || fail 'custom_cell fails'
error=$(sed -n 's/^gradient  largest relative error \([0-9.e-]*\) along 20 random directions$/\1/p' "$work/out")
awk -v error="${error:-1}" 'BEGIN { exit !(error > 0 && error < 1e-7) }' || fail "custom_cell: gradient error '$error'"
tail -n 1 "$work/out" | grep -q '^step *[0-9]*  error 0\.00' || fail 'custom_cell does not learn'

finish
