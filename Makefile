# What developers run; .ci/run does the same and more on a clean clone.

STATICCHECK = go run honnef.co/go/tools/cmd/staticcheck@v0.8.2
BENCHSTAT   = go run golang.org/x/perf/cmd/benchstat@v0.0.0-20260908200009-22c9c6c9d4da
FUZZTIME   ?= 30s

.PHONY: check build test lint race invariants fuzz bench traces

check: lint test invariants race fuzz

build:
	go build ./...

test:
	go test ./...

lint:
	@test -z "$$(gofmt -l .)" || { gofmt -l .; echo "gofmt would change the files above"; exit 1; }
	go vet ./...
	$(STATICCHECK) ./...

invariants:
	go test -tags invariants ./paging/ ./replay/

race:
	go test -race ./paging/ ./replay/ ./trace/

# every fuzz target for FUZZTIME
fuzz:
	@for p in $$(go list ./...); do \
	  for f in $$(go test -list '^Fuzz' $$p | grep '^Fuzz'); do \
	    echo "$$p $$f"; go test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 20x $$p || exit 1; \
	  done; done

# make bench OUT=new.txt; then: make benchstat OLD=old.txt NEW=new.txt
OUT ?= bench.txt
bench:
	go test -run '^$$' -bench . -count 6 ./bench/... | tee $(OUT)
benchstat:
	$(BENCHSTAT) $(OLD) $(NEW)

# records the bundled traces again (needs valgrind and perf)
traces:
	traces/record.sh
