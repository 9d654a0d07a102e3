package synth

// elementSize is that of a matrix element, in bytes.
const elementSize = 8

// matrices are A, B and C = A*B, n rows and columns each, by rows, in a region
// of whole pages each.
type matrices struct{ n, a, b, c uint64 }

func newMatrices(n uint64) matrices {
	size := (n*n*elementSize + pageSize - 1) &^ (pageSize - 1)
	return matrices{n, base, base + size, base + 2*size}
}

func (m matrices) at(matrix, row, column uint64) uint64 {
	return matrix + (row*m.n+column)*elementSize
}

// program has the first thread write A and B, and every thread compute its
// share of the rows of C.
func (m matrices) program(threads uint64, rows func(t *thread, from, to uint64)) program {
	pages := (m.b - m.a) >> pageShift
	return program{
		image: func(t *thread) {
			t.mapAnon(base, 3*pages)
			for i := range 2 * m.n * m.n {
				t.write(m.a + i/(m.n*m.n)*(m.b-m.a) + i%(m.n*m.n)*elementSize)
			}
		},
		body: func(t *thread) { rows(t, t.index*m.n/threads, (t.index+1)*m.n/threads) },
	}
}

// matmul multiplies row by column: for each element of C, n reads of A and n of
// B, and one write. In all 2n^3 reads and n^2 writes, after 2n^2 writes of A and
// B.
func matmul(p Params) program {
	m := newMatrices(p.Size)
	return m.program(p.Threads, func(t *thread, from, to uint64) {
		for i := from; i < to; i++ {
			for j := range m.n {
				for k := range m.n {
					t.read(m.at(m.a, i, k))
					t.read(m.at(m.b, k, j))
				}
				t.write(m.at(m.c, i, j))
			}
		}
	})
}

// matmulBlocked multiplies block by block (Lam, Rothberg, Wolf, ASPLOS 1991): an
// element of C is read, added to and written once for each of the ceil(n/block)
// blocks of its row of A. In all 2n^3 + n^2*ceil(n/block) reads and
// n^2*ceil(n/block) writes, after 2n^2 writes of A and B.
func matmulBlocked(p Params) program {
	m := newMatrices(p.Size)
	return m.program(p.Threads, func(t *thread, from, to uint64) {
		for ii := from; ii < to; ii += p.Block {
			for kk := uint64(0); kk < m.n; kk += p.Block {
				for jj := uint64(0); jj < m.n; jj += p.Block {
					m.block(t, span{ii, min(ii+p.Block, to)}, span{jj, min(jj+p.Block, m.n)}, span{kk, min(kk+p.Block, m.n)})
				}
			}
		}
	})
}

// span is [from, to).
type span struct{ from, to uint64 }

// block adds the product of a block of A and one of B to one of C.
func (m matrices) block(t *thread, rows, columns, inner span) {
	for i := rows.from; i < rows.to; i++ {
		for j := columns.from; j < columns.to; j++ {
			t.read(m.at(m.c, i, j))
			for k := inner.from; k < inner.to; k++ {
				t.read(m.at(m.a, i, k))
				t.read(m.at(m.b, k, j))
			}
			t.write(m.at(m.c, i, j))
		}
	}
}
