#!/bin/sh
# Prints a Secret with a certificate and its key, and with the authority that certifies clients if one is given:
#   secret.sh [NAMESPACE/]NAME CERTIFICATE KEY [AUTHORITY]
set -eu
indented() {
  printf '  %s: |\n' "$1"
  sed 's/^/    /' "$2"
}
printf 'apiVersion: v1\nkind: Secret\nmetadata:\n  name: %s\n' "${1#*/}"
case "$1" in
  */*) printf '  namespace: %s\n' "${1%%/*}" ;;
esac
printf 'type: kubernetes.io/tls\nstringData:\n'
indented tls.crt "$2"
indented tls.key "$3"
[ -z "${4-}" ] || indented ca.crt "$4"
