"""C source of the fused CPU kernel of a ConvNet block: instance norm, ReLU and 2x2 average pooling in one pass each way.

A map (one channel of one image) fits the first-level cache, so memory is read once and only the pooled quarter is written;
one after the other, the three layers move about six times as many bytes. REAL is replaced by float and by double; the
usual sizes of maps are constants to the compiler. Maps are independent and sums over a map are taken in one order, so
results do not depend on the number of threads.
"""

from __future__ import annotations

from bacon.networks.kernels.rows_source import ROWS_SOURCE

LARGEST_SIDE = 128  # the kernel keeps half a map on its stack

_TEMPLATE = r"""
static inline __attribute__((always_inline)) void plain_forward_REAL(
    const REAL *restrict map, REAL weight, REAL bias, REAL *restrict pooled, REAL *restrict mean, REAL *restrict rstd,
    const long height, const long width, double epsilon)
{
  const long size = height * width;
  REAL sum = 0, square = 0, rows[size / 2];
#pragma omp simd reduction(+ : sum)
  for (long i = 0; i < size; i++) sum += map[i];
  const REAL centre = sum / (REAL)size;
#pragma omp simd reduction(+ : square)
  for (long i = 0; i < size; i++) square += (map[i] - centre) * (map[i] - centre);
  const REAL r = (REAL)(1.0 / sqrt((double)square / (double)size + epsilon));
  const REAL scale = weight * r, shift = bias - centre * scale;
  *mean = centre;
  *rstd = r;
  for (long row = 0; row < height / 2; row++) {
    const REAL *restrict upper = map + 2 * row * width, *restrict lower = upper + width;
#pragma omp simd
    for (long j = 0; j < width; j++) {
      const REAL a = upper[j] * scale + shift, b = lower[j] * scale + shift;
      rows[row * width + j] = (a < 0 ? 0 : a) + (b < 0 ? 0 : b); /* written so that NaN stays NaN */
    }
  }
#pragma omp simd
  for (long i = 0; i < size / 4; i++) pooled[i] = (rows[2 * i] + rows[2 * i + 1]) * (REAL)0.25;
}

/* ``maps`` maps of channels that follow each other, MAPS_TOGETHER or fewer. */
static inline __attribute__((always_inline)) void forward_maps_REAL(
    const REAL *restrict map, const REAL *restrict weight, const REAL *restrict bias, REAL *restrict pooled,
    REAL *restrict mean, REAL *restrict rstd, const long maps, const long height, const long width, double epsilon)
{
  const long row_bytes = width * (long)sizeof(REAL);
#define FORWARD_ROWS_REAL(BYTES) \
  forward_rows_REAL_##BYTES(map, weight, bias, pooled, mean, rstd, maps, height, width, epsilon)
  if (row_bytes % 64 == 0) return FORWARD_ROWS_REAL(64);
  if (row_bytes % 32 == 0) return FORWARD_ROWS_REAL(32);
  if (row_bytes % 16 == 0) return FORWARD_ROWS_REAL(16);
  for (long m = 0; m < maps; m++)
    plain_forward_REAL(map + m * height * width, weight[m], bias[m], pooled + m * (height * width / 4), mean + m,
                       rstd + m, height, width, epsilon);
}

static inline __attribute__((always_inline)) void plain_backward_REAL(
    const REAL *restrict map, const REAL *restrict given, REAL weight, REAL bias, REAL centre, REAL r,
    REAL *restrict result, REAL *restrict dweight, REAL *restrict dbias, const long height, const long width)
{
  const long size = height * width;
  const REAL scale = weight * r, shift = bias - centre * scale;
  REAL total = 0, along = 0, rows[size / 2];
#pragma omp simd
  for (long i = 0; i < size / 4; i++) rows[2 * i] = rows[2 * i + 1] = given[i] * (REAL)0.25;
  for (long row = 0; row < height; row++)
#pragma omp simd
    for (long j = 0; j < width; j++) result[row * width + j] = rows[row / 2 * width + j];
#pragma omp simd reduction(+ : total, along)
  for (long i = 0; i < size; i++) {
    const REAL passed = map[i] * scale + shift <= 0 ? 0 : result[i];
    total += passed;
    along += passed * (map[i] - centre);
    result[i] = passed;
  }
  along *= r;
  *dbias = total;
  *dweight = along;
  const REAL offset = total / (REAL)size, slope = along / (REAL)size * r;
#pragma omp simd
  for (long i = 0; i < size; i++) result[i] = scale * (result[i] - offset - (map[i] - centre) * slope);
}

/* As ``forward_maps_REAL``. */
static inline __attribute__((always_inline)) void backward_maps_REAL(
    const REAL *restrict map, const REAL *restrict given, const REAL *restrict weight, const REAL *restrict bias,
    const REAL *restrict mean, const REAL *restrict rstd, REAL *restrict result, REAL *restrict dweight,
    REAL *restrict dbias, const long maps, const long height, const long width)
{
  const long row_bytes = width * (long)sizeof(REAL);
#define BACKWARD_ROWS_REAL(BYTES) \
  backward_rows_REAL_##BYTES(map, given, weight, bias, mean, rstd, result, dweight, dbias, maps, height, width)
  if (row_bytes % 64 == 0) return BACKWARD_ROWS_REAL(64);
  if (row_bytes % 32 == 0) return BACKWARD_ROWS_REAL(32);
  if (row_bytes % 16 == 0) return BACKWARD_ROWS_REAL(16);
  for (long m = 0; m < maps; m++)
    plain_backward_REAL(map + m * height * width, given + m * (height * width / 4), weight[m], bias[m], mean[m], rstd[m],
                        result + m * height * width, dweight + m, dbias + m, height, width);
}

#define FORWARD_TOGETHER_REAL(H, W, MAPS)                                                                            \
  for (long m = 0; m < maps; m += MAPS)                                                                              \
    forward_maps_REAL(x + m * H * W, weight + m % channels, bias + m % channels, out + m * (H * W / 4), mean + m,    \
                      rstd + m, MAPS, H, W, epsilon);
#define BACKWARD_TOGETHER_REAL(H, W, MAPS)                                                                           \
  for (long m = 0; m < maps; m += MAPS)                                                                              \
    backward_maps_REAL(x + m * H * W, dout + m * (H * W / 4), weight + m % channels, bias + m % channels, mean + m,  \
                       rstd + m, dx + m * H * W, dweight + m, dbias + m, MAPS, H, W);
#define FORWARD_REAL(H, W) FORWARD_TOGETHER_REAL(H, W, MAPS_TOGETHER)
#define BACKWARD_REAL(H, W) BACKWARD_TOGETHER_REAL(H, W, MAPS_TOGETHER)

/* x (maps, height, width) -> out (maps, height/2, width/2), mean and rstd (maps,); map m has weight[m % channels]. */
void forward_REAL(const REAL *restrict x, const REAL *restrict weight, const REAL *restrict bias, REAL *restrict out,
                  REAL *restrict mean, REAL *restrict rstd, long maps, long channels, long height, long width,
                  double epsilon, int threads)
{
  if (channels % MAPS_TOGETHER) { LOOP FORWARD_TOGETHER_REAL(height, width, 1) }
  else SIZES(FORWARD_REAL)
}

/* dx (maps, height, width) from dout (maps, height/2, width/2); dweight and dbias (maps,), to be summed over images. */
void backward_REAL(const REAL *restrict x, const REAL *restrict dout, const REAL *restrict weight,
                   const REAL *restrict bias, const REAL *restrict mean, const REAL *restrict rstd, REAL *restrict dx,
                   REAL *restrict dweight, REAL *restrict dbias, long maps, long channels, long height, long width,
                   int threads)
{
  if (channels % MAPS_TOGETHER) { LOOP BACKWARD_TOGETHER_REAL(height, width, 1) }
  else SIZES(BACKWARD_REAL)
}
"""

_HEAD = r"""
#include <math.h>
#define LOOP _Pragma("omp parallel for schedule(static) num_threads(threads) if (threads > 1)")
#define ONE(F, S) if (height == S && width == S) { LOOP F(S, S) }
#define SIZES(F) \
  ONE(F, 2) else ONE(F, 4) else ONE(F, 8) else ONE(F, 16) else ONE(F, 32) else ONE(F, 64) else { LOOP F(height, width) }
"""

SOURCE = _HEAD + ROWS_SOURCE + "".join(_TEMPLATE.replace("REAL", real) for real in ("float", "double"))
