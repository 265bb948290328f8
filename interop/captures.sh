#!/usr/bin/env bash
# Does tshark read the capture of each demo scene without a malformed packet, a bad checksum, or, where nothing is lost,
# an expert's warning?
set -uo pipefail
# shellcheck source=interop/sentences.sh
. "$(dirname "$0")/sentences.sh"

scenes=(http1.0 http1.1 http2 close why-three why-time-wait)
clean=" http1.0 http1.1 http2 "

if ! command -v tshark >/dev/null; then
  echo "SKIPPED: captures read by tshark, it is not installed"
  exit 0
fi

count() { # capture, display filter
  tshark -r "$1" -o ip.check_checksum:TRUE -o tcp.check_checksum:TRUE -Y "$2" 2>/dev/null | wc -l
}

readable() { # scene
  local capture=$work/$1.pcapng
  "$CIAO" demo --scene "$1" --pcap "$capture" >/dev/null || return 1
  local packets malformed sums
  packets=$(count "$capture" tcp)
  malformed=$(count "$capture" _ws.malformed)
  sums=$(count "$capture" 'tcp.checksum.status == "Bad" or ip.checksum.status == "Bad"')
  echo "$packets packets, $malformed malformed, $sums with a bad checksum"
  [ "$packets" -gt 2 ] && [ "$malformed" = 0 ] && [ "$sums" = 0 ]
}

without_warning() { # scene
  local warnings
  warnings=$(tshark -r "$work/$1.pcapng" -Y '_ws.expert.severity >= "Warning"' -T fields -e _ws.expert.message \
    2>/dev/null)
  echo "$warnings"
  [ -z "$warnings" ]
}

for scene in "${scenes[@]}"; do
  holds "tshark reads scene $scene: nothing malformed, every checksum right" readable "$scene"
  [[ $clean != *" $scene "* ]] || holds "tshark has no warning about scene $scene" without_warning "$scene"
done
finish
