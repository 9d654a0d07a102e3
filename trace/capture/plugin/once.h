/*
 * Which instructions of x86 access data once whenever they run. The fetches of a
 * block can be noted with its first access, which saves a callback, if that access
 * is always made, made once, and nothing before it may access data. What is not
 * known here has a callback of its own for its block, so this need not be complete.
 *
 * Opcodes: Intel Software Developer's Manual, volume 2, appendix A.
 */
#include <stdint.h>

enum accesses { NEVER, ONCE, UNKNOWN };

/* with_modrm is for an instruction that accesses its ModRM operand as told. */
static enum accesses with_modrm(uint8_t modrm, enum accesses memory)
{
	return modrm >> 6 == 3 ? NEVER : memory;
}

static enum accesses two_bytes(const uint8_t *p)
{
	switch (p[0] >> 4) {
	case 0x4: /* cmov loads whatever the condition */
	case 0x9: /* setcc */
		return with_modrm(p[1], ONCE);
	case 0x8: /* jcc */
		return NEVER;
	}
	switch (p[0]) {
	case 0x1e: case 0x1f: /* nop */
		return NEVER;
	case 0xaf:					  /* imul */
	case 0xb6: case 0xb7: case 0xbe: case 0xbf: /* movzx, movsx */
		return with_modrm(p[1], ONCE);
	}
	return UNKNOWN;
}

static enum accesses accesses_of(const uint8_t *p, int wide)
{
	if (*p == 0x66)
		p++;
	if (wide && *p >> 4 == 4) /* REX */
		p++;
	uint8_t op = p[0], reg = p[1] >> 3 & 7;
	if (op == 0x0f)
		return two_bytes(p + 1);
	if (op < 0x40) { /* add, or, adc, sbb, and, sub, xor, cmp */
		if ((op & 7) >= 4)
			return (op & 7) < 6 ? NEVER : UNKNOWN;
		return with_modrm(p[1], op & 2 || op >= 0x38 ? ONCE : UNKNOWN);
	}
	switch (op >> 4) {
	case 0x4: /* inc, dec */
	case 0x7: /* jcc */
	case 0xb: /* mov of a constant */
		return NEVER;
	case 0x5: /* push, pop */
		return ONCE;
	}
	switch (op) {
	case 0x63: /* movsxd; arpl in 32 bits */
		return wide ? with_modrm(p[1], ONCE) : UNKNOWN;
	case 0x80: case 0x81: case 0x83: /* add ... cmp with a constant */
		return with_modrm(p[1], reg == 7 ? ONCE : UNKNOWN);
	case 0x84: case 0x85:				/* test */
	case 0x88: case 0x89: case 0x8a: case 0x8b: /* mov */
	case 0xc6: case 0xc7:				/* mov of a constant */
		return with_modrm(p[1], ONCE);
	case 0x8d:		  /* lea */
	case 0x90: case 0x98: case 0x99: /* nop, cwde, cdq */
	case 0xa8: case 0xa9: /* test with a constant */
	case 0xe9: case 0xeb: /* jmp */
		return NEVER;
	case 0xc0: case 0xc1: case 0xd0: case 0xd1: case 0xd2: case 0xd3: /* shifts */
		return with_modrm(p[1], UNKNOWN);
	case 0xc3: case 0xe8: /* ret, call */
		return ONCE;
	case 0xf6: case 0xf7: /* test, not, neg, mul, div */
		return with_modrm(p[1], reg == 2 || reg == 3 ? UNKNOWN : ONCE);
	}
	return UNKNOWN;
}
