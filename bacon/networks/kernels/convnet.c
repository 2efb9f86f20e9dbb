/* The CPU kernels of a ConvNet's blocks, for float and for double: this file is compiled, the others are included here.

   MOST_INPUTS and IMAGES_TOGETHER are given on the compiler's command line. Names of functions end in the type: NAMED(forward)
   is forward_float where REAL is float. */

#include <math.h>

#define JOINED_(A, B) A##_##B
#define JOINED(A, B) JOINED_(A, B)
#define NAMED(NAME) JOINED(NAME, REAL)
/* Functions and types for vectors of BYTES bytes. */
#define ROWS_OF(NAME, BYTES) JOINED(JOINED(NAME, REAL), BYTES)
#define ROWS(NAME) ROWS_OF(NAME, BYTES)

#define LOOP _Pragma("omp parallel for schedule(static) num_threads(threads) if (threads > 1)")

#define MAPS_TOGETHER 4
#define VECTOR_LANES ((long)(64 / sizeof(REAL)))

/* Sides of square maps that are constants to the compiler, and all others; of images, with their channels. */
#define ONE(F, S) if (height == S && width == S) { LOOP F(S, S) }
#define SIZES(F) \
  ONE(F, 2) else ONE(F, 4) else ONE(F, 8) else ONE(F, 16) else ONE(F, 32) else ONE(F, 64) else { LOOP F(height, width) }
#define FIRST_ONE(F, I, S) if (inputs == I && height == S && width == S) { LOOP F(I, S, S) }

/* Which lanes of two vectors a shuffle takes, by their number. GCC takes a vector of places, Clang constant arguments. */
#define EVEN_2 0, 2
#define ODD_2 1, 3
#define LOW_2 0, 0
#define HIGH_2 1, 1
#define EVEN_4 0, 2, 4, 6
#define ODD_4 1, 3, 5, 7
#define LOW_4 0, 0, 1, 1
#define HIGH_4 2, 2, 3, 3
#define EVEN_8 0, 2, 4, 6, 8, 10, 12, 14
#define ODD_8 1, 3, 5, 7, 9, 11, 13, 15
#define LOW_8 0, 0, 1, 1, 2, 2, 3, 3
#define HIGH_8 4, 4, 5, 5, 6, 6, 7, 7
#define EVEN_16 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30
#define ODD_16 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31
#define LOW_16 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7
#define HIGH_16 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13, 14, 14, 15, 15
#ifdef __clang__
#define SHUFFLED(A, B, ...) __builtin_shufflevector(A, B, __VA_ARGS__)
#else
#define SHUFFLED(A, B, ...) __builtin_shuffle(A, B, (ROWS(mask)){__VA_ARGS__})
#endif
#define SHUFFLE(A, B, PLACES) SHUFFLED(A, B, JOINED(PLACES, LANES))

#define REAL float
#define REAL_BYTES 4
#define MASK int
#define BYTES 16
#define LANES 4
#include "rows.c"
#undef BYTES
#undef LANES
#define BYTES 32
#define HALF 16
#define LANES 8
#include "rows.c"
#undef BYTES
#undef HALF
#undef LANES
#define BYTES 64
#define HALF 32
#define LANES 16
#include "rows.c"
#undef BYTES
#undef HALF
#undef LANES
#include "block.c"
#define FIRST_SIZES(F) \
  FIRST_ONE(F, 1, 16) else FIRST_ONE(F, 1, 32) else FIRST_ONE(F, 3, 32) else FIRST_ONE(F, 3, 64) \
  else { LOOP F(inputs, height, width) }
#include "first.c"
#define SECOND_SIZES(F) SIZES(F)
#include "second.c"
#undef FIRST_SIZES
#undef SECOND_SIZES
#undef REAL
#undef REAL_BYTES
#undef MASK

#define REAL double
#define REAL_BYTES 8
#define MASK long long
#define BYTES 16
#define LANES 2
#include "rows.c"
#undef BYTES
#undef LANES
#define BYTES 32
#define HALF 16
#define LANES 4
#include "rows.c"
#undef BYTES
#undef HALF
#undef LANES
#define BYTES 64
#define HALF 32
#define LANES 8
#include "rows.c"
#undef BYTES
#undef HALF
#undef LANES
#include "block.c"
/* Doubles are for tests: less to compile. */
#define FIRST_SIZES(F) LOOP F(inputs, height, width)
#include "first.c"
#define SECOND_SIZES(F) LOOP F(height, width)
#include "second.c"
