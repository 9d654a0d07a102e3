/*
 * Following exec: QEMU would run the new image natively. Where that image is a
 * program or script that one of the emulators can run, the call is made here, with
 * the emulator and this plugin before it. Whatever is unusual is left to QEMU: the
 * call then fails as it should, or the image runs unrecorded, which the recorder
 * sees and says.
 */
#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define OWN_ARGS 10	   /* emulator -s N -plugin OPTION -0 NAME [-B BASE] FILE */
#define SCRIPT_ARGS 2	   /* interpreter and its argument */
#define DEEPEST 5	   /* script of a script (BINPRM_MAX_RECURSION) */
#define MAX_ARGS (1 << 17) /* pointers of a vector */

static int words32; /* addresses of the program have 32 bits */

/* host is where an address of the program lies in this process. */
static void *host(uint64_t addr)
{
	return (void *)(words32 ? BASE32 + (uint32_t)addr : addr);
}

static int guest(void *to, uint64_t addr, size_t n);

static char *guest_string(uint64_t addr)
{
	/* Below the addresses of QEMU; the program has written it. */
	char probe;
	return addr && guest(&probe, addr, 1) ? host(addr) : NULL;
}

/* vector reads a vector of pointers, with room before it for `before` more. */
static char **vector(uint64_t addr, size_t before)
{
	size_t word = words32 ? 4 : 8, n = 0;
	uint64_t p = 1;
	while (p && n < MAX_ARGS) {
		p = 0;
		if (!addr || !guest(&p, addr + n * word, word))
			return NULL;
		n++;
	}
	char **v = calloc(before + n + 1, sizeof(*v));
	for (size_t i = 0; v && i < n; i++) {
		p = 0;
		guest(&p, addr + i * word, word);
		v[before + i] = p ? host(p) : NULL;
	}
	return v;
}

/* machine says which ABI an ELF header is for, 0 for none that can be emulated. */
static int machine(const unsigned char *h)
{
	uint16_t m;
	if (memcmp(h, ELFMAG, SELFMAG) || h[EI_DATA] != ELFDATA2LSB)
		return 0;
	memcpy(&m, h + 18, sizeof(m)); /* e_machine */
	return m == EM_X86_64 ? 1 : m == EM_386 ? 2 : m == EM_AARCH64 ? 3 : 0;
}

/* script cuts the first line of a script into interpreter and argument. */
static int script(char *line, char **interpreter, char **arg)
{
	if (memcmp(line, "#!", 2))
		return 0;
	line[strcspn(line, "\n")] = 0;
	*interpreter = line + 2 + strspn(line + 2, " \t");
	char *end = *interpreter + strcspn(*interpreter, " \t");
	*arg = NULL;
	if (*end) {
		*end++ = 0;
		end += strspn(end, " \t");
		size_t n = strlen(end);
		while (n > 0 && (end[n - 1] == ' ' || end[n - 1] == '\t'))
			end[--n] = 0;
		if (n > 0)
			*arg = end;
	}
	return **interpreter != 0;
}

/*
 * reachable says whether the memory can be opened after an exec too. Another user than
 * root loses all capabilities there (capabilities(7)), such as those that setpriv
 * keeps until then.
 */
static int reachable(const char *memory)
{
	struct stat st;
	int fd = open(memory, O_RDWR | O_CLOEXEC);
	int fine = fd >= 0 && fstat(fd, &st) == 0 && (geteuid() == 0 || geteuid() == st.st_uid);
	if (fd >= 0)
		close(fd);
	return fine;
}

/*
 * follow makes the call of execve of a program of an ABI, if it can; else it
 * returns. What a machine of that ABI cannot run fails as it does there.
 */
static void follow(int from, uint64_t path, uint64_t args, uint64_t envs)
{
	static __thread char lines[DEEPEST][256], option[1024], base32[32];
	char *file = guest_string(path);
	const size_t before = OWN_ARGS + SCRIPT_ARGS * DEEPEST;
	char **argv = vector(args, before), **env = vector(envs, 0), **v = NULL, *name = NULL;
	int abi = 0;
	if (file && argv && env && argv[before] && strncmp(file, "/proc/", 6)) {
		name = argv[before];
		v = argv + before + 1; /* the arguments behind the name */
	}
	for (int depth = 0; v && depth < DEEPEST && !abi; depth++) {
		struct stat st;
		char *interpreter, *arg, *line = lines[depth];
		int fd = open(file, O_RDONLY | O_CLOEXEC);
		ssize_t n = fd < 0 ? -1 : read(fd, line, sizeof(lines[0]) - 1);
		int fine = n > 20 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && !(st.st_mode & (S_ISUID | S_ISGID)) &&
			   faccessat(AT_FDCWD, file, X_OK, AT_EACCESS) == 0;
		if (fd >= 0)
			close(fd);
		if (!fine)
			break;
		line[n] = 0;
		abi = machine((unsigned char *)line);
		if (!abi) {
			if (!script(line, &interpreter, &arg))
				break;
			*--v = file;
			if (arg)
				*--v = arg;
			name = file = interpreter;
		}
	}
	if ((abi == 3) != (from == 3))
		abi = 0;
	if (abi && reachable(shared->path)) { /* not after giving up rights */
		snprintf(base32, sizeof(base32), "%#llx", BASE32);
		snprintf(option, sizeof(option), "%s,memory=%s,abi=%d,words=%d", shared->plugin, shared->path, abi, abi == 2 ? 32 : 64);
		char *own[OWN_ARGS] = {shared->emulator[abi], "-s", shared->stack, "-plugin", option, "-0", name, "-B", base32, file};
		size_t n = OWN_ARGS;
		if (abi != 2) {
			n -= 2;
			own[n - 1] = file;
		}
		v -= n;
		memcpy(v, own, n * sizeof(own[0]));
		if (shared->emulator[abi][0])
			execve(v[0], v, env);
	}
	free(argv);
	free(env);
}
