#!/bin/bash
# Whether the daemon of this container answers questions: /health/ready needs no key, and the image has no curl.
set -eu
port=${SMARTRAG_API__BIND:-127.0.0.1:8765}
port=${port##*:}
exec 3<>"/dev/tcp/127.0.0.1/$port"
printf 'GET /health/ready HTTP/1.0\r\nHost: 127.0.0.1:%s\r\n\r\n' "$port" >&3
read -r -t 4 _version status _rest <&3
[ "$status" = 200 ]
