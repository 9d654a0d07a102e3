# Words for the pipes, one a line: 500 different ones, six times over.
BEGIN {
	for (i = 0; i < 3000; i++)
		printf "%c%c%03d\n", 97 + i % 26, 97 + i * 7 % 26, i * 7919 % 500
}
