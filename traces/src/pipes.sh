# A shell that forks: each round is a pipe of four programs.
for letters in a-e f-j k-o p-z; do
	cat words.txt | tr "$letters" x | sort | uniq -c
done
