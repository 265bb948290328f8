#!/usr/bin/env bash
# Does `ciao serve` answer the programs of this machine as a kernel's TCP would? Wants a network namespace (interop/run).
set -uo pipefail
# shellcheck source=interop/sentences.sh
. "$(dirname "$0")/sentences.sh"
ip link set lo up
make_files

host=10.77.0.2
"$CIAO" serve "$files" --uploads --addr $host/24 --port 80 >"$work/serve" 2>&1 &
server=$!
reachable() { curl -sS -o /dev/null --max-time 1 "http://$1/one_byte"; }

fetch() { # version, URL path
  curl -sS --max-time 60 "$1" -o "$work/got" -w '%{http_version}' "http://$host/$2" >"$work/version" || return 1
  same "$work/got" "$files/$2" && grep -qx "$3" "$work/version"
}

two_hundred_at_once() {
  local config=$work/parallel n
  for n in $(seq 200); do
    printf 'url = "http://%s/100_kB?%d"\noutput = "%s"\n' $host "$n" "$work/parallel_$n"
  done >"$config"
  curl -sS --http1.1 --max-time 60 --parallel --parallel-immediate --parallel-max 200 -K "$config" || return 1
  for n in $(seq 200); do
    same "$work/parallel_$n" "$files/100_kB" || return 1
  done
  rm "$work"/parallel_*
}

loaded() { # arguments of h2load
  h2load "$@" "http://$host/one_byte" >"$work/load" || return 1
  grep -E 'requests:|finished' "$work/load"
  grep -qE ' 0 failed, 0 errored, 0 timeout' "$work/load"
}

killed_in_the_middle() {
  curl -sS --limit-rate 1M -o /dev/null "http://$host/100_MB" &
  local client=$!
  sleep 0.5
  kill -KILL $client
  wait $client
  fetch --http1.1 100_kB 1.1
}

refused_at_once() {
  local start=$SECONDS code=0
  curl -sS --max-time 10 "http://$host:81/" || code=$?
  [ $code = 7 ] && [ $((SECONDS - start)) -le 1 ]
}

uploaded() { # options of curl, the status of the answer
  local answer
  answer=$(curl -sS --max-time 60 "$1" -T "$files/100_MB" -o /dev/null -w '%{http_code} %{size_upload}' \
    "http://$host/uploaded") || return 1
  echo "$answer"
  [ "$answer" = "$2 100000000" ] && same "$files/uploaded" "$files/100_MB"
}

refused_upload() {
  curl -sS --max-time 60 "$@" --data-binary "@$files/100_MB" -H 'Expect:' -o /dev/null -w '%{http_code}' \
    "http://$host/one_byte" | grep -qx 405
}

ranged() {
  curl -sS -r 1000-1999 -o "$work/got" -w '%{http_code}' "http://$host/100_kB" | grep -qx 206 || return 1
  cmp -n 1000 -i 1000:0 "$files/100_kB" "$work/got" && [ "$(wc -c <"$work/got")" = 1000 ]
}

interrupted() {
  kill -INT $server
  wait $server || { echo "exit code $?"; return 1; }
  cat "$work/serve"
  ! grep -qi panicked "$work/serve"
}

holds "ciao serve is reached within ten seconds" until_true reachable $host
holds "it answers a ping" ping -q -c 3 -i 0.2 -W 1 $host
for file in one_byte 100_kB 100_MB; do
  holds "curl fetches $file by HTTP/1.0" fetch --http1.0 $file '1\(\.0\)\?'
  holds "curl fetches $file by HTTP/1.1" fetch --http1.1 $file 1.1
  holds "curl fetches $file by HTTP/2" fetch --http2-prior-knowledge $file 2
done
holds "wget fetches 100 kB" bash -c "wget -q -O - http://$host/100_kB | cmp - $files/100_kB"
holds "a range is what was asked for" ranged
holds "a directory shows its index" bash -c "curl -sS http://$host/directory/ | cmp - $files/directory/index.html"
holds "a path out of the directory is not found" bash -c \
  "curl -sS --path-as-is -o /dev/null -w '%{http_code}' http://$host/../../etc/passwd | grep -qE '^40[034]$'"
holds "200 connections at once bring 100 kB each" two_hundred_at_once
holds "2000 requests on 200 connections by HTTP/1.1" loaded --h1 -n 2000 -c 200
holds "2000 requests on 20 connections with 10 streams each" loaded -n 2000 -c 20 -m 10
holds "100 MB are uploaded by HTTP/1.1" uploaded --http1.1 201
holds "100 MB are uploaded by HTTP/2" uploaded --http2-prior-knowledge 204
holds "an upload that is refused early gets its answer by HTTP/1.1" refused_upload --http1.1
holds "an upload that is refused early gets its answer by HTTP/2" refused_upload --http2-prior-knowledge
holds "a port without listener refuses at once" refused_at_once
holds "a client killed in the middle harms nobody" killed_in_the_middle
holds "Ctrl-C closes in order" interrupted

finishes_what_it_serves() {
  "$CIAO" serve "$files" --addr $host/24 >"$work/serve" 2>&1 &
  server=$!
  until_true reachable $host || return 1
  curl -sS --max-time 60 --limit-rate 50M -o "$work/got" "http://$host/100_MB" &
  local client=$!
  sleep 0.5
  kill -INT $server
  wait $client && wait $server || return 1
  same "$work/got" "$files/100_MB" && grep -q TIME-WAIT "$work/serve"
}

stops_at_once() {
  "$CIAO" serve "$files" --addr $host/24 >"$work/serve" 2>&1 &
  server=$!
  until_true reachable $host || return 1
  curl -sS --max-time 60 --limit-rate 1M -o /dev/null "http://$host/100_MB" &
  local client=$! code=0
  sleep 0.5
  kill -INT $server
  sleep 0.2
  kill -INT $server
  wait $server || code=$?
  kill $client
  [ $code = 130 ]
}

holds "Ctrl-C lets a transfer finish and shows TIME-WAIT" finishes_what_it_serves
holds "a second Ctrl-C stops at once" stops_at_once

host='[fd77::2]'
"$CIAO" serve "$files" --addr fd77::2/64 --port 80 >"$work/serve" 2>&1 &
server=$!
holds "ciao serve is reached by IPv6" until_true reachable "$host"
holds "it answers a ping by IPv6" ping -6 -q -c 3 -i 0.2 -W 1 fd77::2
holds "curl fetches 100 MB by IPv6" fetch --http1.1 100_MB 1.1
holds "curl fetches 100 kB by HTTP/2 and IPv6" fetch --http2-prior-knowledge 100_kB 2
holds "Ctrl-C closes in order by IPv6" interrupted
finish
