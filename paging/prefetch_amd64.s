#include "textflag.h"

// func prefetch(entries *[window]*uint64, n int)
TEXT ·prefetch(SB), NOSPLIT, $0-16
	MOVQ entries+0(FP), AX
	MOVQ n+8(FP), CX
	LEAQ (AX)(CX*8), CX

next:
	CMPQ       AX, CX
	JAE        done
	MOVQ       (AX), DX
	PREFETCHT0 (DX)
	ADDQ       $8, AX
	JMP        next

done:
	RET

// func prefetchLine(at unsafe.Pointer)
TEXT ·prefetchLine(SB), NOSPLIT, $0-8
	MOVQ       at+0(FP), AX
	PREFETCHT0 (AX)
	RET
