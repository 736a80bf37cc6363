#!/bin/sh
# fuzz.sh TIME: runs every fuzz target of the module here for TIME, e.g. 10s.
set -eu
go list -f '{{.Dir}} {{join .TestGoFiles " "}} {{join .XTestGoFiles " "}}' ./... | while read -r dir files; do
	[ -n "$files" ] || continue
	for target in $(cd "$dir" && sed -nE 's/^func (Fuzz[A-Za-z0-9_]+)\(.*/\1/p' $files); do
		echo "$target in ${dir#"$PWD"/}"
		if ! out=$(go test -run '^$' -fuzz "^$target\$" -fuzztime "$1" "$dir" 2>&1); then
			printf '%s\n' "$out" >&2
			exit 1
		fi
		printf '%s\n' "$out" | sed -n '/^fuzz: elapsed/h; ${g;p;}'
	done
done
