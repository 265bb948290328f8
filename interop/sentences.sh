# What the tests beside this file share: sentences that hold or do not, files to send, programs to wait for.
# shellcheck shell=bash

work=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null; rm -rf "$work"' EXIT
files=$work/files
failures=0

# A sentence and the command that shows it. What the command prints is seen when it fails.
holds() {
  local sentence=$1 start=${EPOCHREALTIME/./} result=ok
  shift
  "$@" >"$work/output" 2>&1 || result=FAILED
  printf '%-7s %6d ms  %s\n' $result $(((${EPOCHREALTIME/./} - start) / 1000)) "$sentence"
  if [ $result = FAILED ]; then
    sed 's/^/        /' "$work/output" | tail -n 20
    failures=$((failures + 1))
  fi
}

# The command must fail in order: an exit code from 1 to 100 (no signal, no panic), and all words in what it says.
refuses() {
  local words=$1 code=0
  shift
  "$@" >"$work/refusal" 2>&1 || code=$?
  cat "$work/refusal"
  [ "$code" -ge 1 ] && [ "$code" -le 100 ] || { echo "exit code $code"; return 1; }
  ! grep -qiE 'panicked|backtrace' "$work/refusal" || return 1
  grep -qiE "$words" "$work/refusal" || { echo "says nothing of: $words"; return 1; }
}

# Waits until a command succeeds, ten seconds at most.
until_true() {
  local _
  for _ in $(seq 100); do
    "$@" >/dev/null 2>&1 && return 0
    sleep 0.1
  done
  echo "gave up waiting for: $*"
  return 1
}

make_files() {
  mkdir -p "$files/directory"
  printf 'x' >"$files/one_byte"
  head -c 100000 /dev/urandom >"$files/100_kB"
  head -c 100000000 /dev/urandom >"$files/100_MB"
  printf '<p>Ciao.\n' >"$files/directory/index.html"
}

# One byte of difference is an error.
same() {
  cmp "$1" "$2"
}

finish() {
  [ "$failures" = 0 ] || { echo "$failures failed"; exit 1; }
}
