package capture

// lackey records every access through Debian's valgrind.
var lackey = Tool{Name: "lackey"}
