/* A ConvNet block on the CPU: instance norm, ReLU and 2x2 average pooling in one pass each way. Included for each REAL.

   A map (one channel of one image) fits the first-level cache, so memory is read once and only the pooled quarter is written;
   one after the other, the three layers move about six times as many bytes. The usual sizes of maps are constants to the
   compiler. Maps are independent and sums over a map are taken in one order, so results do not depend on the number of
   threads. */

static inline __attribute__((always_inline)) void NAMED(plain_forward)(
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
static inline __attribute__((always_inline)) void NAMED(forward_maps)(
    const REAL *restrict map, const REAL *restrict weight, const REAL *restrict bias, REAL *restrict pooled,
    REAL *restrict mean, REAL *restrict rstd, const long maps, const long height, const long width, double epsilon)
{
  const long row_bytes = width * (long)sizeof(REAL);
#define FORWARD_ROWS(BYTES) \
  ROWS_OF(forward_rows, BYTES)(map, weight, bias, pooled, mean, rstd, maps, height, width, epsilon)
  if (row_bytes % 64 == 0) return FORWARD_ROWS(64);
  if (row_bytes % 32 == 0) return FORWARD_ROWS(32);
  if (row_bytes % 16 == 0) return FORWARD_ROWS(16);
  for (long m = 0; m < maps; m++)
    NAMED(plain_forward)(map + m * height * width, weight[m], bias[m], pooled + m * (height * width / 4), mean + m,
                       rstd + m, height, width, epsilon);
}

static inline __attribute__((always_inline)) void NAMED(plain_backward)(
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

/* As ``NAMED(forward_maps)``. */
static inline __attribute__((always_inline)) void NAMED(backward_maps)(
    const REAL *restrict map, const REAL *restrict given, const REAL *restrict weight, const REAL *restrict bias,
    const REAL *restrict mean, const REAL *restrict rstd, REAL *restrict result, REAL *restrict dweight,
    REAL *restrict dbias, const long maps, const long height, const long width)
{
  const long row_bytes = width * (long)sizeof(REAL);
#define BACKWARD_ROWS(BYTES) \
  ROWS_OF(backward_rows, BYTES)(map, given, weight, bias, mean, rstd, result, dweight, dbias, maps, height, width)
  if (row_bytes % 64 == 0) return BACKWARD_ROWS(64);
  if (row_bytes % 32 == 0) return BACKWARD_ROWS(32);
  if (row_bytes % 16 == 0) return BACKWARD_ROWS(16);
  for (long m = 0; m < maps; m++)
    NAMED(plain_backward)(map + m * height * width, given + m * (height * width / 4), weight[m], bias[m], mean[m], rstd[m],
                        result + m * height * width, dweight + m, dbias + m, height, width);
}

#define FORWARD_TOGETHER(H, W, MAPS)                                                                            \
  for (long m = 0; m < maps; m += MAPS)                                                                              \
    NAMED(forward_maps)(x + m * H * W, weight + m % channels, bias + m % channels, out + m * (H * W / 4), mean + m,    \
                      rstd + m, MAPS, H, W, epsilon);
#define BACKWARD_TOGETHER(H, W, MAPS)                                                                           \
  for (long m = 0; m < maps; m += MAPS)                                                                              \
    NAMED(backward_maps)(x + m * H * W, dout + m * (H * W / 4), weight + m % channels, bias + m % channels, mean + m,  \
                       rstd + m, dx + m * H * W, dweight + m, dbias + m, MAPS, H, W);
#define FORWARD(H, W) FORWARD_TOGETHER(H, W, MAPS_TOGETHER)
#define BACKWARD(H, W) BACKWARD_TOGETHER(H, W, MAPS_TOGETHER)

/* x (maps, height, width) -> out (maps, height/2, width/2), mean and rstd (maps,); map m has weight[m % channels]. */
void NAMED(forward)(const REAL *restrict x, const REAL *restrict weight, const REAL *restrict bias, REAL *restrict out,
                  REAL *restrict mean, REAL *restrict rstd, long maps, long channels, long height, long width,
                  double epsilon, int threads)
{
  if (channels % MAPS_TOGETHER) { LOOP FORWARD_TOGETHER(height, width, 1) }
  else SIZES(FORWARD)
}

/* dx (maps, height, width) from dout (maps, height/2, width/2); dweight and dbias (maps,), to be summed over images. */
void NAMED(backward)(const REAL *restrict x, const REAL *restrict dout, const REAL *restrict weight,
                   const REAL *restrict bias, const REAL *restrict mean, const REAL *restrict rstd, REAL *restrict dx,
                   REAL *restrict dweight, REAL *restrict dbias, long maps, long channels, long height, long width,
                   int threads)
{
  if (channels % MAPS_TOGETHER) { LOOP BACKWARD_TOGETHER(height, width, 1) }
  else SIZES(BACKWARD)
}
