# Text for gzip: 160 lines of noise, over and over, so that it finds long
# matches well inside its window of 32 KiB.
BEGIN {
	alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	x = 1
	for (i = 0; i < 160; i++) {
		line = ""
		for (j = 0; j < 72; j++) {
			x = (x * 16807) % 2147483647 # Park and Miller, CACM 1988: exact in a double
			line = line substr(alphabet, x % 64 + 1, 1)
		}
		lines[i] = line
	}
	for (i = 0; i < 2400; i++)
		print lines[i % 160]
}
