#!/bin/bash
# The same seeds give the same trace: run twice by each of the builds given, and compared. A difference would be a use of an
# address, of memory that nothing set, or of an order that the language leaves open, and no seed could be relied on.
#
#   tests/simulation/same_hash.sh build/release build/clang ...
#
# SEEDS (300) and FROM (1) choose the seeds. Last line: N passed, N failed.
set -uo pipefail

first=
passed=0
failed=0
for build; do
	for turn in first second; do
		hash=$("$build/tests/simulation/simulation" --seeds "${SEEDS:-300}" --from "${FROM:-1}" --hash) || hash='no hash'
		printf '%s, %s run: %s\n' "$build" "$turn" "$hash"
		first=${first:-$hash}
		if [ "$hash" = "$first" ] && [ "$hash" != 'no hash' ]; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
	done
done
printf '%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
