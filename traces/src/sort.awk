# Long lines for sort, whose keys come in an order that jumps about: with 1 MiB
# of memory it writes temporary files and merges them.
BEGIN {
	for (i = 0; i < 2500; i++)
		printf "%06d %0700d\n", (i * 7919) % 2503, i
}
