#!/bin/sh
# Records the traces of this folder, or prints the tables of README.md.
#
#	traces/record.sh            builds the programs and their input, records all
#	traces/record.sh gzip ...   records these
#	traces/record.sh tables     runs the programs natively, replays the traces,
#	                            and prints both tables; the programs that have no
#	                            trace here are recorded for it, with qemu
#
# Wants: go, cc, valgrind, perl, gzip, sort, awk; for the tables also perf, setarch
# and qemu-user. Everything runs in its own folder and with a fixed environment, for
# the kernel puts arguments and environment on the stack and their length decides
# how many pages that takes.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
work=/tmp/vmtrace-traces
traces='gzip sort perl threads fork'
others='pipes twice' # their traces are too large for the folder

# command NAME is what is recorded, seen from $work.
command_of() {
	case $1 in
	gzip) echo "gzip -9 -c gzip.txt" ;;
	sort) echo "sort -S 1M sort.txt" ;;
	perl) echo "perl perl.pl" ;;
	threads) echo "./threads" ;;
	fork) echo "./fork" ;;
	pipes) echo "sh pipes.sh" ;;
	twice) echo "./twice zeros.bin" ;;
	esac
}

prepare() {
	mkdir -p "$work"
	(cd "$here/.." && go build -o "$work/vmtrace" ./cmd/vmtrace)
	cc -O2 -pthread -o "$work/threads" "$here/src/threads.c"
	cc -O2 -o "$work/fork" "$here/src/fork.c"
	cc -O2 -o "$work/twice" "$here/src/twice.c"
	cp "$here/src/perl.pl" "$here/src/pipes.sh" "$work/"
	awk -f "$here/src/gzip.awk" >"$work/gzip.txt"
	awk -f "$here/src/sort.awk" >"$work/sort.txt"
	awk -f "$here/src/words.awk" >"$work/words.txt"
	head -c 67108864 /dev/zero >"$work/zeros.bin"
	cd "$work"
}

# clean runs a command with the environment of the recordings.
clean() { env -i PATH=/usr/bin:/bin LC_ALL=C "$@"; }

record() {
	# The command is a list of words without special characters.
	clean ./vmtrace record --tool lackey -o "$here/$1.vmt" -- $(command_of "$1") >/dev/null
}

# compare NAME prints the row of a command, from its trace or a new recording;
# qemu's plugin is compiled into a cache.
compare() {
	case " $others " in
	*" $1 "*) clean XDG_CACHE_HOME="$work/cache" ./vmtrace validate --row --percent 2 --faults 4 --tool qemu -- $(command_of "$1") ;;
	*) clean ./vmtrace validate --row --percent 2 --faults 4 --trace "$here/$1.vmt" -- $(command_of "$1") ;;
	esac
}

# field NAME prints the value of a key of JSON on standard input.
field() { sed -n "s/.*\"$1\": *\([0-9][0-9]*\).*/\1/p" | head -n 1; }

tables() {
	echo "| trace | command | accesses | bytes | SHA-256 |"
	echo "|---|---|--:|--:|---|"
	for name in $traces; do
		file=$here/$name.vmt
		accesses=$(./vmtrace replay --json "$file" | field accesses)
		echo "| \`$name.vmt\` | \`$(command_of "$name")\` | $accesses | $(wc -c <"$file") | \`$(sha256sum <"$file" | cut -d' ' -f1)\` |"
	done
	echo
	echo "| command | \`perf stat\` minor, major | \`wait4\` minor | model minor | difference | recorder's | calls that disagree | refused |"
	echo "|---|--:|--:|--:|--:|--:|--:|--:|"
	for name in $traces $others; do
		# validate comes first: its runs bring the files into the page cache.
		row=$(compare "$name")
		clean setarch -R perf stat -x, -e minor-faults,major-faults -o counts -- $(command_of "$name") >/dev/null
		counts=$(grep faults counts | cut -d, -f1 | paste -sd, - | sed 's/,/, /')
		echo "$row" | sed "s/^\(| \`[^\`]*\` |\)/\1 $counts |/"
	done
}

if [ "${1-}" = tables ]; then
	prepare
	tables
	exit
fi
for name in ${*:-$traces}; do
	case " $traces " in
	*" $name "*) ;;
	*) echo "record.sh: there is no trace $name; there are $traces" >&2; exit 2 ;;
	esac
done
prepare
for name in ${*:-$traces}; do
	record "$name"
done
