module github.com/vmtrace/vmtrace

go 1.26.8
