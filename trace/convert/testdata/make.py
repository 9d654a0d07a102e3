"""Builds the samples whose tools Debian lacks, byte by byte from the published
formats: DynamoRIO clients/drcachesim/common/trace_entry.h, ChampSim
inc/trace_instruction.h, libCacheSim .../oracle/oracleGeneralBin.h, Pin
source/tools/ManualExamples/pinatrace.cpp. The accesses of the files named
sample.* are those of lackey.txt."""
import gzip, io, re, struct, subprocess, zipfile

READ, WRITE, INSTR, THREAD, EXIT, PID, HEADER, FOOTER, MARKER, ENCODING = 0, 1, 10, 22, 23, 24, 25, 26, 28, 47


def entry(kind, size, value):
    return struct.pack("<HHQ", kind, size, value)


def save(name, data):
    with open(name, "wb") as f:
        f.write(data)


def packed(name, *command):
    subprocess.run(command, check=True, stdout=open(name, "wb"))


accesses = []
for line in open("lackey.txt"):
    m = re.match(r"^(I | [LSM]) +([0-9a-f]+),(\d+)$", line)
    if m:
        accesses.append((m[1].strip(), int(m[2], 16), int(m[3])))

# The same accesses as drmemtrace and as plain text.
body = entry(HEADER, 0, 5) + entry(MARKER, 12, 5) + entry(MARKER, 9, 0x40 | 0x200) + entry(THREAD, 0, 77) + entry(PID, 0, 70)
body += entry(MARKER, 2, 13000000000000000) + entry(MARKER, 3, 1)
for kind, addr, size in accesses:
    if kind == "I":
        body += entry(ENCODING, size, 0x9090909090909090) + entry(INSTR, size, addr)
    elif kind == "L":
        body += entry(READ, size, addr)
    else:
        body += entry(WRITE, size, addr)
body += entry(EXIT, 0, 77) + entry(FOOTER, 0, 0)
save("sample.trace", body)
save("sample.trace.gz", gzip.compress(body, mtime=0))
packed("sample.trace.lz4", "lz4", "-qc", "sample.trace")
with zipfile.ZipFile("sample.trace.zip", "w", zipfile.ZIP_DEFLATED) as z:
    half = len(body) // 24 * 12
    for i, part in enumerate((body[:half], body[half:])):
        z.writestr(zipfile.ZipInfo("chunk.%04d" % i, (2020, 1, 1, 0, 0, 0)), part, zipfile.ZIP_DEFLATED)
with open("sample.plain.txt", "w") as f:
    f.write("# kind and address\n")
    for kind, addr, size in accesses:
        for page in range(addr >> 12, (addr + size - 1 >> 12) + 1):
            f.write("%s 0x%x\n" % ({"I": "X", "L": "R"}.get(kind, "W"), max(addr, page << 12)))

# Two threads in one file, a bundle, a prefetch, a filtered flag.
body = entry(HEADER, 0, 3) + entry(THREAD, 0, 5) + entry(PID, 0, 5) + entry(MARKER, 9, 0x40 | 0x100)
body += entry(MARKER, 2, 1000000) + entry(MARKER, 3, 0)
body += entry(INSTR, 3, 0x401ffe)  # reaches over into the next page
body += struct.pack("<HH8B", 17, 2, 4, 5, 0, 0, 0, 0, 0, 0)
body += entry(READ, 8, 0x7FFE00001000) + entry(3, 1, 0x999000)
body += entry(THREAD, 0, 6) + entry(PID, 0, 5) + entry(MARKER, 2, 1002000) + entry(MARKER, 3, 1)
body += entry(WRITE, 4, 0x7FFE00001004) + entry(EXIT, 0, 6)
body += entry(THREAD, 0, 5) + entry(PID, 0, 5) + entry(READ, 8, 0xFFFF800000000000) + entry(EXIT, 0, 5) + entry(FOOTER, 0, 0)
save("threads.trace", body)


def champ(ip, writes=(), reads=(), branch=0, taken=0):
    w, r = list(writes) + [0] * (2 - len(writes)), list(reads) + [0] * (4 - len(reads))
    return struct.pack("<QBB2B4B2Q4Q", ip, branch, taken, 6, 0, 6, 26, 0, 0, *w, *r)


body = champ(0x401000, writes=[0x7FFE1000]) + champ(0x401004, reads=[0x602010, 0x602ff8]) + champ(0x401006, branch=1, taken=1)
body += champ(0x401100, writes=[0x602010], reads=[0x602010]) + champ(0x401108, branch=1)
save("champsim", body)
save("champsim.gz", gzip.compress(body, mtime=0))
packed("champsim.xz", "xz", "-c", "champsim")

body = b""
for time, obj, size, after in ((10, 3, 512, 2), (10, 4, 100, -1), (11, 3, 512, 4), (12, 2**60 + 1, 9, 5), (14, 3, 512, -1), (15, 2**60 + 1, 9, -1)):
    body += struct.pack("<IQIq", time, obj, size, after)
save("oracleGeneral", body)
packed("oracleGeneral.zst", "zstd", "-qc", "oracleGeneral")

with open("pinatrace.out", "w") as f:
    f.write("0x401000: W 0x7ffe1000\n0x401004: R 0x602010\n0x401004: R 0x602ff8\n0x401100: R 0x602010\n0x401100: W 0x602010\n#eof\n")
with open("pages.csv", "w") as f:
    f.write("time,obj_id,size,op\n10,3,512,read\n10,4,100,write\n11,3,512,read\n12,name,9,get\n")
with open("pages.txt", "w") as f:
    f.write("1\n2\n3\n1\n")
with open("plain-swapped.txt", "w") as f:
    f.write("0041f7a0 R\n13f5e2c0 R\n05e78900 W\n")
