#!/bin/sh
# Installs what a lock file names, as locked, while the image is built: sh install.sh LOCK [FOLDER]
# Without a folder into the environment in /opt/overnight.
# What is left out is never run: the tests of the largest libraries, sources and headers of compiled code, Arrow's Flight,
# the descriptions of all of Amazon's services but storage and the ways to log in to it.
set -eu
touch /tmp/began
cat /etc/ssl/certs/ca-certificates.crt > /tmp/trusted.pem
printf '%s\n' "${EXTRA_CERTIFICATES:-}" >> /tmp/trusted.pem
PIP_CERT=/tmp/trusted.pem /opt/pip/bin/pip --python /opt/overnight/bin/python3 install -q --no-deps --require-hashes --no-compile \
    -r "$1" ${2:+--target "$2"}
cd "${2:-$(echo /opt/overnight/lib/python3*/site-packages)}"
find . -depth -type d \( -path './pandas/*' -o -path './numpy/*' -o -path './scipy/*' -o -path './sklearn/*' -o -path './pyarrow/*' \) \
    \( -name tests -o -name test \) -exec rm -rf {} +
rm -rf pyarrow/include pyarrow/*flight*
[ ! -d botocore/data ] || find botocore/data -mindepth 1 -maxdepth 1 -type d ! -name s3 ! -name sts ! -name 'sso*' -exec rm -rf {} +
find . -type f \( -name '*.pyi' -o -name '*.pyx' -o -name '*.pxd' -o -name '*.h' -o -name '*.c' -o -name '*.cpp' \) -delete
# A few libraries carry templates of code that no Python compiles.
find . -name '*.py' -newer /tmp/began | /opt/overnight/bin/python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash -i - || true
