#!/usr/bin/env bash
# Does a user's mistake get one clear line and an exit code, never a backtrace? Wants a network namespace.
set -uo pipefail
# shellcheck source=interop/sentences.sh
. "$(dirname "$0")/sentences.sh"
ip link set lo up
mkdir -p "$files"

as_nobody() {
  setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all --bounding-set=-all "$@"
}
cp "$CIAO" "$work/ciao"
chmod 755 "$work" "$work/ciao" "$files"

holds "a directory that is not there is named" refuses "none" "$CIAO" serve "$files/none"
holds "a bad URL is named" refuses "http" "$CIAO" get "ht!tp:/x"
holds "an unknown subcommand shows what there is" refuses "usage|help" "$CIAO" dance
holds "without the right to open a TUN it says what to do" refuses "root|CAP_NET_ADMIN|permission" \
  as_nobody "$work/ciao" serve "$files"

"$CIAO" serve "$files" >"$work/serve" 2>&1 &
server=$!
holds "ciao serve is up" until_true curl -sS -o /dev/null --max-time 1 http://10.77.0.2/
holds "a second one at the same address is told so" refuses "in use" "$CIAO" serve "$files"
holds "ciao get takes the next network then" refuses "SYN-SENT" "$CIAO" get --timeout 1 http://10.77.1.9/
holds "the loopback is named as out of reach" refuses "10.77.1.1" "$CIAO" get http://127.0.0.1/
kill $server
wait $server
finish
