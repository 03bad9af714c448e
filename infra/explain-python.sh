#!/bin/sh
# Says in one sentence why no Python on this machine will do, and what helps.
if ! command -v python3 >/dev/null; then
    echo "Overnight needs Python 3.11, 3.12 or 3.13, and there is no python3 here. Try: apt install python3 python3-venv" >&2
    exit
fi
version=$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')
case $version in
    3.11 | 3.12 | 3.13)
        echo "python3 is $version, which fits, but it cannot make virtual environments. Try: apt install python3-venv" >&2
        ;;
    2.* | 3.[0-9] | 3.10)
        echo "Overnight needs Python 3.11, 3.12 or 3.13, and python3 is $version. Install one, then: make setup PYTHON=python3.13" >&2
        ;;
    *)
        echo "The lock file was made for Python 3.11 to 3.13, and python3 is $version. To try anyway: make setup PYTHON=python3" >&2
        ;;
esac
