# Builds and frees data in steps, so that resident memory rises and falls.
use strict;

my %table = map { $_ => $_ * 7 } 1 .. 800;    # a hash that doubles its buckets as it grows
my $text  = 'x' x 3_000_000;                  # one mapping, written once
my $twice = $text . $text;                    # a larger one, copied from the first
undef $text;                                  # given back to the kernel at once
my @rows = map { [ (0) x 200 ] } 1 .. 20;     # many small blocks on the heap
undef %table;
undef $twice;
my @sorted = sort { $a <=> $b } map { ( $_ * 7919 ) % 601 } 1 .. 600;
print scalar(@rows), " ", $sorted[-1], "\n";
