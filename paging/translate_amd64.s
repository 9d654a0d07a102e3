#include "go_asm.h"
#include "textflag.h"

#define FIRST tlb_l1
#define FETCH (tlb_l1+tlbLevel__size)
#define SECOND tlb_l2

// COMPARE4 makes Y0 the key in R12 and DX the set of page R14 in the first level, in ways,
// and compares them: not equal is that a way has the page.
#define COMPARE4 \
	VMOVQ        R12, X0;                        \
	VPBROADCASTQ X0, Y0;                         \
	MOVQ         (FIRST+tlbLevel_mask)(DI), DX;  \
	ANDQ         R14, DX;                        \
	SHLQ         $2, DX;                         \
	VPAND        (R10)(DX*8), Y7, Y1;            \
	VPCMPEQQ     Y0, Y1, Y1;                     \
	VPTEST       Y1, Y1

// COMPARE12 compares the key in Y0 with the 12 words from a place on: Y1, Y2 and Y3 tell
// which are it, Y4 whether one is.
#define COMPARE12(words) \
	VPAND    (words), Y7, Y1;   \
	VPAND    32(words), Y7, Y2; \
	VPAND    64(words), Y7, Y3; \
	VPCMPEQQ Y0, Y1, Y1;        \
	VPCMPEQQ Y0, Y2, Y2;        \
	VPCMPEQQ Y0, Y3, Y3;        \
	VPOR     Y1, Y2, Y4;        \
	VPOR     Y3, Y4, Y4

// func translateWords(b *tlb, asid uint64, refs []Ref, entries []*uint64, walks bool, stop *atomic.Bool) int
//
// Registers that last: BX the clock, CX the reference, DI the TLB, R10 and R11 words and
// stamps of both first levels, Y7 a mask of all of a word but its flags. Of one
// reference: R14 its page, Y0 its key, AX the flags that it needs.
TEXT ·translateWords(SB), NOSPLIT, $0-88
	MOVQ b+0(FP), DI
	MOVQ tlb_clock(DI), BX
	MOVQ tlb_words(DI), R10
	MOVQ tlb_stamps(DI), R11
	MOVQ $~const_wordFlags, AX
	VMOVQ AX, X7
	VPBROADCASTQ X7, Y7
	XORL CX, CX

next:
	CMPQ CX, refs_len+24(FP)
	JGE  done
	MOVQ stop+72(FP), R15
	CMPL (R15), $0
	JNE  done
	MOVQ refs_base+16(FP), SI
	MOVQ (SI)(CX*8), AX
	MOVQ AX, R14
	SHRQ $const_wordVPNAt, R14
	MOVQ R14, R12
	SHLQ $const_wordVPNAt, R12
	ORQ  asid+8(FP), R12                // key

	// A hit where the hint says.
	MOVL AX, R13
	ANDL $const_refFetch, R13
	SHLL $2, R13                        // tlbHints/refFetch
	MOVL R14, R15
	ANDL $(const_tlbHints-1), R15
	ORL  R15, R13
	MOVL tlb_hints(DI)(R13*4), R13
	MOVL AX, R15
	ANDL $const_wordFlags, R15
	ORQ  R12, R15
	MOVQ AX, DX
	ORQ  $~const_wordFlags, DX
	ANDQ (R10)(R13*8), DX
	CMPQ DX, R15
	JNE  miss
	INCQ BX
	MOVQ BX, (R11)(R13*8)
	INCQ CX
	JMP  next

	// What the entry permits: its flags become those of a word, in R13, its frame R8.
miss:
	TESTL $const_refOne, AX
	JEQ   done
	MOVQ  entries_base+40(FP), R8
	MOVQ  (R8)(CX*8), R8
	TESTQ R8, R8
	JEQ   done
	MOVQ  (R8), R8
	MOVL  R8, R13
	ANDL  $(const_pteP|const_pteA|const_pteHuge), R13
	CMPL  R13, $(const_pteP|const_pteA)
	JNE   walk

permitted:
	MOVQ  R8, R13
	NOTQ  R13
	SHRQ  $63, R13                      // not pteNX
	SHLL  $2, R13                       // tlbExec
	MOVL  R8, DX
	ANDL  $(const_tlbWrite|const_tlbDirty), DX
	ORL   DX, R13
	SHLL  $const_wordFlagsAt, R13
	ANDL  $const_wordFlags, AX
	MOVL  R13, DX
	NOTL  DX
	TESTL AX, DX
	JNE   walk
	SHRQ  $const_ptePFNAt, R8
	ORQ   R12, R13

	// The oldest way of the first level, in DX, whose ways must not have the page.
	COMPARE4
	JNE          done
	LEAQ         (R11)(DX*8), SI
	MOVQ         (SI), R15
	SHLQ         $8, R15
	MOVQ         8(SI), R12
	SHLQ         $8, R12
	ORQ          $1, R12
	CMPQ         R12, R15
	CMOVQCS      R12, R15
	MOVQ         16(SI), R12
	SHLQ         $8, R12
	ORQ          $2, R12
	MOVQ         24(SI), R9
	SHLQ         $8, R9
	ORQ          $3, R9
	CMPQ         R9, R12
	CMOVQCS      R9, R12
	CMPQ         R12, R15
	CMOVQCS      R12, R15
	ANDL         $3, R15
	ADDQ         R15, DX

	// The ways of the second level: SI are the words of the set R15, which begin at R12.
	MOVQ     (SECOND+tlbLevel_mask)(DI), R15
	ANDQ     R14, R15
	LEAQ     (R15)(R15*2), R12
	SHLQ     $2, R12
	MOVQ     (SECOND+tlbLevel_words)(DI), SI
	LEAQ     (SI)(R12*8), SI
	COMPARE12(SI)
	VPTEST   Y4, Y4
	JNE      second
	CMPB     tlb_fetched(DI), $0
	JNE      fetched

	// It is nowhere: the last way of the second level's order is filled.
absent:
	INCQ BX
	INCQ (tlb_stats+TLBStats_misses)(DI)
	MOVQ (SECOND+tlbLevel_orders)(DI), R9
	MOVQ (R9)(R15*8), AX
	SHLQ $4, AX
	MOVQ AX, R11
	SHRQ $48, R11                       // way
	SHLQ $16, AX
	SHRQ $16, AX
	ORQ  R11, AX
	MOVQ AX, (R9)(R15*8)
	MOVQ R13, (SI)(R11*8)
	ADDQ R11, R12
	MOVQ (SECOND+tlbLevel_pfns)(DI), R9
	MOVL R8, (R9)(R12*4)
	MOVQ tlb_stamps(DI), R11

fill:
	INCQ BX
	INCQ (tlb_stats+TLBStats_l1Misses)(DI)
	MOVQ R13, (R10)(DX*8)
	MOVQ BX, (R11)(DX*8)
	MOVQ (FIRST+tlbLevel_pfns)(DI), R9
	MOVL R8, (R9)(DX*4)
	ANDL $(const_tlbHints-1), R14
	MOVL DX, tlb_hints(DI)(R14*4)
	INCQ CX
	JMP  next

	// The entry lacks a bit. If it is one that the walker sets, and the page is in no
	// level, the walker sets it, of R8 to R9; if it is in the second, none walks.
walk:
	MOVL         R8, R13
	ANDL         $(const_pteP|const_pteHuge), R13
	CMPL         R13, $const_pteP
	JNE          done
	ANDL         $const_wordFlags, AX
	MOVL         AX, R9
	SHRL         $const_wordFlagsAt, R9 // tlbWrite is pteW, tlbDirty is pteD
	MOVL         R8, DX
	NOTL         DX
	ANDL         R9, DX
	TESTL        $const_pteW, DX
	JNE          done
	ANDL         $const_pteD, R9
	ORL          $const_pteA, R9
	ORQ          R8, R9
	COMPARE4
	JNE          done
	MOVQ         (SECOND+tlbLevel_mask)(DI), DX
	ANDQ         R14, DX
	LEAQ         (DX)(DX*2), DX
	SHLQ         $5, DX
	ADDQ         (SECOND+tlbLevel_words)(DI), DX
	COMPARE12(DX)
	VPTEST       Y4, Y4
	JNE          within
	CMPB         walks+64(FP), $0
	JEQ          done
	MOVQ         entries_base+40(FP), DX
	MOVQ         (DX)(CX*8), DX
	MOVQ         R8, AX
	LOCK
	CMPXCHGQ     R9, (DX)
	JNE          done
	MOVQ         refs_base+16(FP), SI
	MOVQ         (SI)(CX*8), AX
	JMP          miss

within:
	MOVQ R9, R8
	JMP  permitted

	// A way of the second level has it, R9, and gives its word and frame.
second:
	VMOVMSKPD Y1, R9
	VMOVMSKPD Y2, R11
	SHLL      $4, R11
	ORL       R11, R9
	VMOVMSKPD Y3, R11
	SHLL      $8, R11
	ORL       R11, R9
	TZCNTL    R9, R9
	MOVQ      (SI)(R9*8), R13
	MOVL      R13, R11
	NOTL      R11
	TESTL     AX, R11
	JNE       done
	ADDQ      R9, R12
	MOVQ      (SECOND+tlbLevel_pfns)(DI), R11
	MOVL      (R11)(R12*4), R8

	// lruOrder.first
	MOVQ   (SECOND+tlbLevel_orders)(DI), SI
	LEAQ   (SI)(R15*8), SI
	MOVQ   (SI), AX
	MOVQ   $0x1111111111111111, R11
	MOVQ   R9, R12
	IMULQ  R11, R12
	XORQ   AX, R12
	MOVQ   R12, R15
	SUBQ   R11, R15
	NOTQ   R12
	ANDQ   R12, R15
	SHLQ   $3, R11
	ANDQ   R11, R15
	TZCNTQ R15, R15
	ANDL   $60, R15
	MOVQ   AX, R11
	SHRQ   $4, R11
	SHRXQ  R15, R11, R11
	SHLXQ  R15, R11, R11
	BZHIQ  R15, AX, AX
	ORQ    R11, AX
	SHLQ   $4, AX
	ORQ    R9, AX
	MOVQ   AX, (SI)
	MOVQ   tlb_stamps(DI), R11
	JMP    fill

	// If the first level of instructions has it, it is brought up to date.
fetched:
	MOVQ  (FETCH+tlbLevel_mask)(DI), R9
	ANDQ  R14, R9
	MOVQ  (FETCH+tlbLevel_ways)(DI), AX
	IMULQ AX, R9
	MOVQ  (FETCH+tlbLevel_words)(DI), R11
	LEAQ  (R11)(R9*8), R11

probe:
	VPAND    (R11), Y7, Y1
	VPCMPEQQ Y0, Y1, Y1
	VPTEST   Y1, Y1
	JNE      found
	ADDQ     $32, R11
	SUBQ     $4, AX
	JGT      probe
	JMP      absent

found:
	VMOVMSKPD Y1, R9
	TZCNTL    R9, R9
	LEAQ      (R11)(R9*8), R11
	MOVQ      R13, (R11)
	SUBQ      (FETCH+tlbLevel_words)(DI), R11
	SHRQ      $1, R11
	ADDQ      (FETCH+tlbLevel_pfns)(DI), R11
	MOVL      R8, (R11)
	JMP       absent

done:
	MOVQ BX, tlb_clock(DI)
	MOVQ CX, ret+80(FP)
	VZEROUPPER
	RET

// func holdsWords(b *tlb, key uint64) bool
TEXT ·holdsWords(SB), NOSPLIT, $0-17
	MOVQ         b+0(FP), DI
	MOVQ         key+8(FP), AX
	VMOVQ        AX, X0
	VPBROADCASTQ X0, Y0
	SHRQ         $const_wordVPNAt, AX
	MOVQ         $~const_wordFlags, DX
	VMOVQ        DX, X7
	VPBROADCASTQ X7, Y7
	MOVQ         (FIRST+tlbLevel_mask)(DI), DX
	ANDQ         AX, DX
	SHLQ         $5, DX                       // 4 ways of 8 bytes
	ADDQ         tlb_words(DI), DX
	VPAND        (DX), Y7, Y1
	VPCMPEQQ     Y0, Y1, Y5
	ANDQ         (SECOND+tlbLevel_mask)(DI), AX
	LEAQ         (AX)(AX*2), AX
	SHLQ         $5, AX
	ADDQ         (SECOND+tlbLevel_words)(DI), AX
	COMPARE12(AX)
	VPOR         Y5, Y4, Y4
	VPTEST       Y4, Y4
	SETNE        ret+16(FP)
	VZEROUPPER
	RET
