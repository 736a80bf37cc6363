#!/bin/sh
# Installs the servers that some tests run against: PostgreSQL and Redis. The
# tests start their own, at free ports; Debian's default instances are neither
# started nor left to start with the machine.
set -eu

missing=
command -v initdb >/dev/null 2>&1 || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || missing="$missing postgresql"
command -v redis-server >/dev/null 2>&1 || missing="$missing redis-server"
if [ -z "$missing" ]; then
	echo "PostgreSQL and Redis are installed."
	exit 0
fi

if ! command -v apt-get >/dev/null 2>&1; then
	echo "Missing:$missing. Install them with your system's packages (macOS: brew install postgresql redis); initdb and redis-server must be in PATH." >&2
	exit 1
fi
root=
if [ "$(id -u)" != 0 ]; then
	command -v sudo >/dev/null 2>&1 || {
		echo "Missing:$missing. Run as root: make services" >&2
		exit 1
	}
	root=sudo
fi

# Packages ask this file whether they may start what they install.
policy=/usr/sbin/policy-rc.d
ours=
if [ ! -e $policy ]; then
	printf '#!/bin/sh\nexit 101\n' | $root tee $policy >/dev/null
	$root chmod +x $policy
	ours=yes
fi
trap '[ -z "$ours" ] || $root rm -f $policy' EXIT

quiet() { # shows what a command says only if it fails
	said=$("$@" 2>&1 </dev/null) || {
		printf '%s\n' "$said" >&2
		exit 1
	}
}

echo "Installing$missing with apt-get."
quiet $root apt-get update
# shellcheck disable=SC2086 # several packages
quiet $root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing
for service in $missing; do
	quiet $root update-rc.d "$service" disable
done
echo "Installed. No server was started."
