#!/bin/sh
# examples/translate as a person meets it: what it prints, where, and the status it ends with.

program=translate
# shellcheck source=tests/cli.inc
. "${SPINDLE_SRC:-$(dirname "$0")/..}/tests/cli.inc"

# Pairs, always the same: words to their letters reversed and capital letters, as a tab-separated file and as two.
pairs=$work/pairs
awk 'BEGIN {
    n = split("spindle turns the wheel and pulls a thread from wool while rain falls grün", word, " ")
    for (i = 0; i < 240; i++) {
        x = y = ""
        for (j = 0; j <= i % 4; j++) { seed = (seed * 69 + 17) % 1009; w = word[seed % n + 1]; x = x " " w; y = w " " y }
        print substr(x, 2) "\t" toupper(y)
    }
}' >"$pairs"
cut -f 1 "$pairs" >"$work/source"
cut -f 2 "$pairs" >"$work/target"
model=$work/model
small='--source-units word --target-units word --hidden 8 --embed 8 --batch 16 --epochs 2'
# train STATUS OPTION...: the smallest training there is
# shellcheck disable=SC2086 # a list of words
train() { expected=$1; shift; run "$expected" train --data "$pairs" --out "$model" $small "$@"; }

# ---- help --------------------------------------------------------------------

for command in '' train predict eval demo; do
    # shellcheck disable=SC2086 # none is none
    run 0 $command --help
    grep -q '^Usage: translate' "$work/out" || fail "translate $command --help: no usage"
    [ ! -s "$work/err" ] || fail "translate $command --help: writes on standard error"
done
run 0 train --format cmudict --help
grep -q -- '--source-units .*\[char\]$' "$work/out" || fail 'the help of cmudict does not say that sources are letters'

# ---- what it is for ----------------------------------------------------------

train 0 --log "$work/log" --graph "$work/graph.dot" --metric bleu
json command='"train"' epochs=2 interrupted=false train_loss valid_loss best_valid_loss best_valid_bleu best_epoch tokens_per_s seconds
grep -Eq '^[0-9]+ pairs to train on, [0-9]+ to validate on, [0-9]+ left to test on: parts 90,5,5 by a hash of the source$' "$work/err" ||
    fail "no parts: $(cat "$work/err")"
[ "$(wc -l <"$work/log")" -eq 2 ] || fail 'the log has not one line an epoch'
grep -q '^digraph' "$work/graph.dot" || fail 'no graph'

printf 'the wheel\r\n\ngrün\n' >"$work/lines"
run 0 predict "$model" --data "$work/lines"
json command='"predict"' lines=3 symbols="$(sed '$d' "$work/out" | wc -w | tr -d ' ')"
[ "$(wc -l <"$work/out")" -eq 4 ] || fail 'not a line for each line'
[ -z "$(sed -n 2p "$work/out")" ] || fail 'an empty line is not translated to one'
"$path" predict "$model" <"$work/lines" >"$work/again" 2>"$work/err"
cmp -s "$work/out" "$work/again" || fail 'standard input is not translated as a file is'
run 0 predict "$model" --data "$work/lines" --nbest 3 --beam 2 --length-penalty 0.6 --coverage-penalty 0.1 --copy --most 7 --batch 2
[ "$(grep -c '^1	-[0-9.]*	' "$work/out")" -eq 3 ] || { fail 'not three best of the first line:'; cat "$work/out"; }
[ "$(grep -c '^2	' "$work/out")" -eq 1 ] || fail 'an empty line has not one translation'
run 0 predict "$model" --data "$work/lines" --heatmap "$work/map.svg" --maps 3
if command -v gnuplot >/dev/null; then
    grep -q '</svg>' "$work/map.svg" || fail 'no heat map'
else
    grep -q "$work/map.svg is not drawn: gnuplot is not installed" "$work/err" || fail 'silent about a picture that is not there'
fi
: >"$work/nothing"
run 0 predict "$model" --data "$work/nothing" --heatmap "$work/none.svg"
grep -q "$work/none.svg is not drawn: there is no line" "$work/err" || fail 'silent about a picture of nothing'
printf 'the wheel\n  the  wheel \n  \nthe wheel\0\nwheel\n' >"$work/part"
run 1 predict "$model" --data "$work/part"
grep -Fq "translate: $work/part:4: is not text: a byte is zero" "$work/err" || fail "a zero byte: $(cat "$work/err")"
[ "$(wc -l <"$work/out")" -eq 3 ] || fail 'lines before a zero byte are not translated'
[ "$(sed -n 1p "$work/out")" = "$(sed -n 2p "$work/out")" ] || fail 'white space makes another translation'
[ -z "$(sed -n 3p "$work/out")" ] || fail 'a line of spaces is not translated to an empty one'
printf 'caf\351 wheel\n' >"$work/latin"
run 0 predict "$model" --data "$work/latin"
awk 'BEGIN { for (i = 0; i < 10000; i++) printf "wheel "; print "" }' >"$work/long"
run 0 predict "$model" --data "$work/long" --most 20
json lines=1

for part in train valid test; do
    run 0 eval "$model" --data "$pairs" --part $part --beam 2
    json command='"eval"' sentences references exact bleu chrf word_error_rate letter_error_rate sequence_error_rate
    grep -Eq "^Measured on the part '$part' of the data: [0-9]+ sources\$" "$work/err" || fail "no word on what is measured"
done
run 0 eval "$model" --source "$work/source" --target "$work/target" --limit 20
json sentences=20
grep -q ': 20 sources, which may include what was trained on$' "$work/err" || fail "measures training data without a word"

# Two files are the same as one.
train 0
mv "$model" "$work/first"
# shellcheck disable=SC2086 # a list of words
run 0 train --source "$work/source" --target "$work/target" --out "$model" $small
cmp -s "$model" "$work/first" || fail 'two files make another model than one'

# Letters to phones; several pronunciations count; what is empty or long is left out, and said.
printf ';;; words\nab  AE1 B\nab(2)  EY1 B # more\nba  B AA1\nabba  AE1 B AH0\nbab  B AE1 B\naa  AA1\n' >"$work/dict"
run 0 train --data "$work/dict" --format cmudict --valid "$work/dict" --out "$work/g2p" --hidden 4 --embed 4 --epochs 1 --longest 3
grep -q '^Left out of those to train on: 0 that are empty on a side, 1 longer than --longest 3$' "$work/err" || fail "$(cat "$work/err")"
run 0 eval "$work/g2p" --data "$work/dict" --format cmudict
json sentences=5 references=6 exact word_error_rate phone_error_rate
! grep -q 'sequence_error_rate\|letter_error_rate\|bleu' "$work/last" || fail 'letters to phones are measured as translations are'
run 0 train --data "$work/dict" --valid "$work/dict" --format cmudict --target-units bpe --vocab 270 --out "$work/pieces" --hidden 4 --embed 4 --epochs 1
wrong 1 'translating: copying needs targets of words or letters' predict "$work/pieces" --data "$work/lines" --copy
printf 'a b\tx\nb\t\n\tx\nb a\ty\n' >"$work/gaps"
run 0 train --data "$work/gaps" --valid "$work/gaps" --out "$work/unused" --hidden 4 --embed 4 --epochs 1 --vocab 270
grep -q '^Left out of those to train on: 2 that are empty on a side, 0 longer' "$work/err" || fail "$(cat "$work/err")"
rm "$work/unused"

# ---- the same seed, the same model -------------------------------------------

train 0 --dropout 0.2 --sampling 0.3 --rise sigmoid --drawn --smoothing 0.1 --seed 7
mv "$model" "$work/first"
train 0 --dropout 0.2 --sampling 0.3 --rise sigmoid --drawn --smoothing 0.1 --seed 7
cmp -s "$model" "$work/first" || fail 'the same seed makes another model'
train 0 --dropout 0.2 --sampling 0.3 --rise sigmoid --smoothing 0.1 --seed 7
! cmp -s "$model" "$work/first" || fail 'what is drawn makes the same model as what is best'
train 0 --batch 64 --threads 1 --attention general --profile
grep -q '^operation  *calls' "$work/err" || fail 'no profile'
mv "$model" "$work/one"
train 0 --batch 64 --threads 2 --attention general
cmp -s "$model" "$work/one" || fail 'two threads make another model'

# A checkpoint, and another training that does not take it.
longer() { expected=$1; shift; train "$expected" --schedule constant --dropout 0.2 --every 3 --checkpoint "$work/check" "$@"; }
longer 0 --epochs 3
mv "$model" "$work/first"
rm "$work/check" "$work/check.old"
longer 0 --epochs 1
longer 0 --epochs 3 --resume
cmp -s "$model" "$work/first" || fail 'a training that was resumed makes another model'
longer 1 --epochs 3 --resume --attention dot
grep -Fq "is of another training: attention is \"additive\", not \"dot\"" "$work/err" || fail "another model: $(cat "$work/err")"

# ---- wrong use, wrong data ---------------------------------------------------

head -n 239 "$work/target" >"$work/short"
printf 'a\tb\nno tab here\n' >"$work/malformed"
printf 'a\tb\0\n' >"$work/binary"
: >"$work/empty"
printf 'a\0b\n' >"$work/zero"
wrong 2 "'fly' is no command" fly
wrong 2 '--metric f1: expected one of loss|exact|bleu|chrf|error|letter-error' train --data "$work/none" --metric f1
wrong 2 'tied weights need equal sizes, but embed is 4 and the decoder' train --data "$work/none" --tied --embed 4 --hidden 6
wrong 2 'an encoder in both directions needs an even hidden size, not 5' train --data "$work/none" --hidden 5
wrong 2 '--drawn: has an effect only with --sampling' train --data "$work/none" --drawn
wrong 2 '--judged: has an effect only with --metric exact|bleu|chrf|error|letter-error' train --data "$work/none" --judged 9
wrong 2 '--maps: has an effect only with --heatmap' predict "$work/none" --maps 3
wrong 2 '--split: has an effect only with --part train|valid|test, not all' eval "$work/none" --data "$work/none" --split 80,10,10
wrong 2 '--attention hard: expected one of none|dot' train --attention hard
wrong 2 'expected --data FILE, or --source FILE and --target FILE' train --out "$work/unused"
wrong 2 'expected --data FILE, or --source FILE and --target FILE' train --source "$pairs" --out "$work/unused"
wrong 2 'expected --valid FILE, or --valid-source FILE' train --data "$pairs" --valid-source "$pairs" --out "$work/unused"
wrong 1 "$work/source has 240 lines, $work/short has 239" train --source "$work/source" --target "$work/short" --out "$work/unused"
wrong 1 "$work/malformed:2: 1 column between tabs, expected 2" train --data "$work/malformed" --out "$work/unused"
wrong 1 "$work/binary" train --data "$work/binary" --out "$work/unused"
wrong 1 "$work/empty" train --data "$work/empty" --out "$work/unused"
wrong 2 "split: '90,5 ', expected" train --data "$pairs" --split '90,5 ' --out "$work/unused"
wrong 2 "split: '50,40,5' sums to 95, expected 100" train --data "$pairs" --split 50,40,5 --out "$work/unused"
wrong 2 "--out $pairs is the file of --data" train --data "$pairs" --out "$pairs"
wrong 1 "$work/none/x: cannot be written: " train --data "$pairs" --out "$work/none/x"
wrong 1 "$work/none: cannot be read: " predict "$model" --data "$work/none"
wrong 2 "--heatmap $model is the file of MODEL" predict "$model" --data "$work/lines" --heatmap "$model"
wrong 2 "--heatmap $work/lines is the file of --data" predict "$model" --data "$work/lines" --heatmap "$work/lines"
wrong 1 "$work/zero:1: is not text: a byte is zero" predict "$model" --data "$work/zero"
wrong 1 "$pairs: is no safetensors file" predict "$pairs"
wrong 1 "$work/none: cannot be read: " eval "$work/none" --data "$pairs"
wrong 1 'references: 0 sentences' eval "$model" --data "$pairs" --split 100,0,0 --part test
[ ! -e "$work/unused" ] || fail 'a model was written though training did not begin'

# ---- without data ------------------------------------------------------------

run 0 demo --out "$work/demo" --pairs 300 --hidden 8 --epochs 1
json command='"demo"' best_valid_exact sentences exact
for file in dates.safetensors log.jsonl graph.dot; do
    [ -s "$work/demo/$file" ] || fail "demo: no $file"
done
if command -v gnuplot >/dev/null; then
    grep -q '</svg>' "$work/demo/attention.svg" || fail 'demo: no picture of the attention'
    [ "$(grep -c 'id="gnuplot_plot_' "$work/demo/attention.svg")" -eq 4 ] || fail 'demo: not four pictures of the attention'
    grep -q '</svg>' "$work/demo/curve.svg" || fail 'demo: no curve'
fi
stop_demo dates.safetensors --pairs 300 --hidden 8
run 0 predict "$work/demo/dates.safetensors" --data "$work/latin"

finish
