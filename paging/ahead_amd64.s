#include "go_asm.h"
#include "textflag.h"

// func lookUp(c *dirCache, bits uint, refs []Ref, entries []*uint64) int
//
// Registers that last: AX the reference, DI the directories, CX bits, R8 a mask of the
// number of a table in its directory. Of one reference: BX its page, DX its entry.
TEXT ·lookUp(SB), NOSPLIT, $0-72
	MOVQ c+0(FP), DI
	MOVQ bits+8(FP), CX
	MOVQ refs_base+16(FP), SI
	MOVQ refs_len+24(FP), R10
	MOVQ entries_base+40(FP), R11
	MOVL $1, R8
	SHLQ CX, R8
	DECQ R8
	XORL AX, AX

next:
	CMPQ AX, R10
	JGE  done
	MOVQ (SI)(AX*8), BX
	XORL DX, DX
	SHRQ $const_wordVPNAt, BX

	// The directory: R12 from the beginning of the cache.
	MOVQ BX, R13
	SHRQ CX, R13
	MOVQ R13, R15
	SHRQ CX, R15
	MOVL R15, R12
	ANDL $(const_lowestDirs-1), R12
	IMUL3L $lowestDir__size, R12, R12
	INCQ R15
	CMPQ R15, (dirCache_low+lowestDir_number)(DI)(R12*1)
	JNE  done

	// The table, R15.
	ANDQ  R8, R13
	CMPQ  R13, (dirCache_low+lowestDir_tables+8)(DI)(R12*1)
	JAE   found
	MOVQ  (dirCache_low+lowestDir_tables)(DI)(R12*1), R12
	MOVQ  (R12)(R13*8), R15
	TESTQ R15, R15
	JEQ   found

	// table.entry
	LEAQ  table_huge(R15), DX
	CMPQ  table_huge(R15), $0
	JNE   found
	MOVQ  table_ptes(R15), R12
	TESTQ R12, R12
	JEQ   found
	MOVQ  (table_ptes+8)(R15), DX
	DECQ  DX
	ANDQ  BX, DX
	LEAQ  (R12)(DX*8), DX

found:
	MOVQ       DX, (R11)(AX*8)
	PREFETCHT0 (DX)
	INCQ       AX
	JMP        next

done:
	MOVQ AX, ret+64(FP)
	RET

// ROW makes AX, the number of a page, the address of its row, in the chunks at DI.
#define ROW \
	MOVL   AX, BX;                   \
	SHRL   $const_chunkShift, BX;    \
	ANDL   $(const_chunkSize-1), AX; \
	IMUL3Q $pageInfo__size, AX, AX;  \
	ADDQ   (DI)(BX*8), AX

// func expectPages(rows *pageRows, near, far uint32)
TEXT ·expectPages(SB), NOSPLIT, $0-16
	MOVQ       rows+0(FP), DI
	MOVQ       pageRows_chunks(DI), DI
	MOVL       far+12(FP), AX
	TESTL      AX, AX
	JEQ        near
	ROW
	PREFETCHT0 (AX)

near:
	MOVL  near+8(FP), AX
	TESTL AX, AX
	JEQ   done
	ROW
	MOVQ  (pageInfo_at+mapping_tab)(AX), R8
	TESTQ R8, R8
	JEQ   done

	// The entry: that of a large page is beside the lock of its table, which is near.
	MOVQ       table_ptes(R8), R9
	MOVQ       (table_ptes+8)(R8), R10
	DECQ       R10
	ANDQ       (pageInfo_at+mapping_vpn)(AX), R10
	PREFETCHT0 (R9)(R10*8)

done:
	RET

// func expectRows(rows *pageRows, pages []uint32)
TEXT ·expectRows(SB), NOSPLIT, $0-32
	MOVQ rows+0(FP), DI
	MOVQ pageRows_chunks(DI), DI
	MOVQ pages_base+8(FP), SI
	MOVQ pages_len+16(FP), CX
	LEAQ (SI)(CX*4), CX

page:
	CMPQ       SI, CX
	JGE        end
	MOVL       (SI), AX
	ROW
	PREFETCHT0 (AX)
	ADDQ       $4, SI
	JMP        page

end:
	RET

// func prefetchLine(at unsafe.Pointer)
TEXT ·prefetchLine(SB), NOSPLIT, $0-8
	MOVQ       at+0(FP), AX
	PREFETCHT0 (AX)
	RET
