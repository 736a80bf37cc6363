#!/bin/sh
# build.sh OUTPUT MODULE PACKAGE [go build flags]
#
# go build for people: it says how far it is, and one line if the disk is full or
# Go is missing. Without cgo, so that no C compiler is needed.
out=$1 module=$2 package=$3
shift 3
command -v go >/dev/null 2>&1 || {
	echo "Go is missing: install Go 1.26 or newer from https://go.dev/dl and try again." >&2
	exit 1
}
case $out in /*) ;; *) out=$PWD/$out ;; esac
export CGO_ENABLED=0

{
	cd "$module" && { mkdir -p "$(dirname "$out")" && go build -v -o "$out" "$@" "$package"; } 2>&1
	echo "exit $?"
} | {
	fetched=0 compiled=0 code=1 text=
	show() { # on a terminal one line that changes, else a line now and then
		if [ -t 2 ]; then
			printf '\r\033[K%s: fetched %d modules, compiled %d packages' "${package#./}" $fetched $compiled >&2
		elif [ $(((fetched + compiled) % 100)) = 1 ]; then
			echo "${package#./}: fetched $fetched modules, compiled $compiled packages" >&2
		fi
	}
	while IFS= read -r line; do
		case $line in
		"exit "*) code=${line#exit } ;;
		"go: downloading "*) fetched=$((fetched + 1)) && show ;;
		"#"* | *" "*) text="$text$line
" ;;
		*) compiled=$((compiled + 1)) && show ;;
		esac
	done
	[ -t 2 ] && [ $((fetched + compiled)) != 0 ] && printf '\r\033[K' >&2
	[ "$code" = 0 ] && exit 0
	case $text in
	*"o space left on device"*) echo "The disk is full: free some space (the build needs about 3 GB the first time) and try again." >&2 ;;
	*) printf '%s' "$text" >&2 ;;
	esac
	exit "$code"
}
