#!/usr/bin/env bash
# Does `ciao get` fetch from nginx, and fail in order where nothing can be fetched? Wants a network namespace.
set -uo pipefail
# shellcheck source=interop/sentences.sh
. "$(dirname "$0")/sentences.sh"
ip link set lo up
make_files

cat >"$work/nginx.conf" <<N
daemon off;
pid $work/nginx.pid;
error_log $work/nginx_errors;
user root;
worker_processes 1;
events { worker_connections 1024; }
http {
  # One word for each request: which connection, which request on it, which version.
  log_format connections '\$connection \$connection_requests \$server_protocol';
  access_log $work/access connections;
  client_body_temp_path $work/a; proxy_temp_path $work/b; fastcgi_temp_path $work/c;
  uwsgi_temp_path $work/d; scgi_temp_path $work/e;
  root $files;
  server { listen 8080; listen [::]:8080; keepalive_requests 1000; }
  server { listen 8081 http2; listen [::]:8081 http2; }
  server { listen 8082; limit_rate 1m; }
}
N
PATH=$PATH:/usr/sbin
nginx -c "$work/nginx.conf" -p "$work" 2>/dev/null &

fetch() { # arguments of ciao get, then the file and the port
  local port=${*: -1} file=${*: -2:1}
  "$CIAO" get "${@:1:$#-2}" -o "$work/got" "http://10.77.0.1:$port/$file" || return 1
  same "$work/got" "$files/$file"
}

connections() { # how many connections the URLs took, by nginx' log
  : >"$work/access"
  "$CIAO" get "$@" >/dev/null || return 1
  sleep 0.3
  cut -d' ' -f1 "$work/access" | sort -u | wc -l
}

as_many() {
  local wanted=$1 count
  shift
  count=$(connections "$@") || return 1
  echo "$count connections"
  [ "$count" = "$wanted" ]
}

cut_short() {
  "$CIAO" get -o "$work/got" http://10.77.0.1:8082/100_MB >"$work/said" 2>&1 &
  local client=$!
  sleep 1.5
  pkill -KILL -P "$(cat "$work/nginx.pid")" nginx
  local code=0
  wait $client || code=$?
  cat "$work/said"
  [ $code -ge 1 ] && [ $code -le 100 ]
}

holds "nginx is up" until_true curl -sS -o /dev/null http://127.0.0.1:8080/one_byte
for file in one_byte 100_kB 100_MB; do
  holds "ciao get fetches $file by HTTP/1.0" fetch --http1.0 $file 8080
  holds "ciao get fetches $file by HTTP/1.1" fetch --http1.1 $file 8080
  holds "ciao get fetches $file by HTTP/2" fetch --http2 $file 8081
done
urls() { printf "http://10.77.0.1:$1/%s\n" one_byte 100_kB directory/; }
# shellcheck disable=SC2046
{
  holds "three URLs by HTTP/1.0 take three connections" as_many 3 --http1.0 $(urls 8080)
  holds "three URLs by HTTP/1.1 take one connection" as_many 1 --http1.1 $(urls 8080)
  holds "three URLs by HTTP/2 take one connection" as_many 1 --http2 $(urls 8081)
}
over_ipv6() { # version of HTTP, port
  "$CIAO" get "$1" -o "$work/got" "http://[fd77::1]:$2/100_MB" && same "$work/got" "$files/100_MB"
}

holds "ciao get fetches 100 MB by HTTP/1.1 and IPv6" over_ipv6 --http1.1 8080
holds "ciao get fetches 100 MB by HTTP/2 and IPv6" over_ipv6 --http2 8081
holds "a host that does not answer is named with the state and what was sent" \
  refuses "SYN-SENT.*last sent: SYN" "$CIAO" get --timeout 1 http://10.77.0.9/
drawn() {
  "$CIAO" get --ladder http://10.77.0.1:8080/100_kB >"$work/ladder" || return 1
  cat "$work/ladder"
  grep -q SYN-SENT "$work/ladder" && grep -q 'GET /100_kB' "$work/ladder" && grep -q TIME-WAIT "$work/ladder"
}

captured() { # version of HTTP, port
  "$CIAO" get "$1" --pcap "$work/get.pcapng" -o "$work/got" "http://10.77.0.1:$2/100_kB" || return 1
  # On a busy machine the kernel sends a segment twice at times, so warnings about that are none of ours.
  local faults='_ws.malformed or tcp.checksum.status == "Bad" or ip.checksum.status == "Bad"'
  tshark -r "$work/get.pcapng" -o tcp.check_checksum:TRUE -Y "$faults" 2>/dev/null >"$work/faults"
  cat "$work/faults"
  [ "$(tshark -r "$work/get.pcapng" 2>/dev/null | wc -l)" -gt 10 ] && [ ! -s "$work/faults" ]
}

holds "ciao get --ladder draws the connection" drawn
holds "tshark finds nothing malformed and no bad checksum in the capture of HTTP/1.1" captured --http1.1 8080
holds "tshark finds nothing malformed and no bad checksum in the capture of HTTP/2" captured --http2 8081
holds "a missing file is an error" refuses "404" "$CIAO" get http://10.77.0.1:8080/none
holds "a port without listener is an error that says so" refuses "refused" "$CIAO" get http://10.77.0.1:9/
holds "a body that ends early is an error" cut_short
finish
