/* Second derivatives of a ConvNet block on the CPU: gradients of a scalar of the block's first derivatives. Included for each REAL.

   The formula and its names are those of second_gradients in block_plain.py: y is the normalised map, u the pooled gradient
   spread over its squares where the ReLU passes. All means that it needs are linear in two sums over the map, so that two passes
   over a map in the first-level cache do. */

/* by_dx (height, width) is the scalar's gradient by the map's first derivative, by_dweight and by_dbias by those of the
   channel's weight and bias. */
static inline __attribute__((always_inline)) void NAMED(second_map)(
    const REAL *restrict map, const REAL *restrict dout, const REAL *restrict by_dx, REAL weight, REAL bias, REAL centre,
    REAL r, REAL by_dweight, REAL by_dbias, REAL *restrict by_map, REAL *restrict by_dout, REAL *restrict by_weight,
    const long height, const long width)
{
  const long size = height * width;
  const REAL scale = weight * r, shift = bias - centre * scale;
  REAL rows[size / 2], sums[size / 2];
  REAL u_sum = 0, u_along = 0, dx_sum = 0, dx_along = 0, overlap = 0;
#pragma omp simd
  for (long i = 0; i < size / 4; i++) rows[2 * i] = rows[2 * i + 1] = dout[i] * (REAL)0.25;
  for (long row = 0; row < height; row++) {
    const REAL *restrict x = map + row * width, *restrict dx = by_dx + row * width;
    const REAL *restrict spread = rows + row / 2 * width;
#pragma omp simd reduction(+ : u_sum, u_along, dx_sum, dx_along, overlap)
    for (long j = 0; j < width; j++) {
      const REAL u = x[j] * scale + shift <= 0 ? 0 : spread[j], apart = x[j] - centre;
      u_sum += u;
      u_along += u * apart;
      dx_sum += dx[j];
      dx_along += dx[j] * apart;
      overlap += u * dx[j];
    }
  }
  const REAL u_mean = u_sum / (REAL)size, u_y = u_along / (REAL)size * r;
  const REAL dx_mean = dx_sum / (REAL)size, dx_y = dx_along / (REAL)size * r;
  const REAL inner = overlap / (REAL)size - dx_mean * u_mean - dx_y * u_y;
  *by_weight = inner * r * (REAL)size;
  /* By y: -scale (u dx_y + dx u_y) + by_dweight u, its mean, and its mean along y. */
  const REAL of_u = by_dweight - scale * dx_y, of_dx = -scale * u_y;
  const REAL mean = of_u * u_mean + of_dx * dx_mean, along = of_u * u_y + of_dx * dx_y + scale * inner;
  for (long pair = 0; pair < height / 2; pair++)
    for (long below = 0; below < 2; below++) {
      const long at = (2 * pair + below) * width;
      const REAL *restrict x = map + at, *restrict dx = by_dx + at, *restrict spread = rows + pair * width;
      REAL *restrict to = by_map + at, *restrict sum = sums + pair * width;
#pragma omp simd
      for (long j = 0; j < width; j++) {
        const REAL y = (x[j] - centre) * r;
        const int stopped = x[j] * scale + shift <= 0;
        const REAL u = stopped ? 0 : spread[j];
        const REAL by_u = scale * (dx[j] - dx_mean - y * dx_y) + by_dweight * y + by_dbias;
        sum[j] = (below ? sum[j] : 0) + (stopped ? 0 : by_u);
        to[j] = r * (of_u * u + of_dx * dx[j] - mean - y * along);
      }
    }
#pragma omp simd
  for (long i = 0; i < size / 4; i++) by_dout[i] = (sums[2 * i] + sums[2 * i + 1]) * (REAL)0.25;
}

#define SECOND(H, W)                                                                                                 \
  for (long m = 0; m < maps; m++)                                                                                    \
    NAMED(second_map)(x + m * H * W, dout + m * (H * W / 4), by_dx + m * H * W, weight[m % channels],                \
                      bias[m % channels], mean[m], rstd[m], by_dweight[m % channels], by_dbias[m % channels],        \
                      by_x + m * H * W, by_dout + m * (H * W / 4), by_weight + m, H, W);

/* by_x (maps, height, width), by_dout (maps, height/2, width/2) and by_weight (maps,), to be summed over images, from x, dout and
   by_dx of these shapes, mean and rstd (maps,), and weight, bias, by_dweight and by_dbias (channels,). */
void NAMED(second)(const REAL *restrict x, const REAL *restrict dout, const REAL *restrict by_dx,
                   const REAL *restrict weight, const REAL *restrict bias, const REAL *restrict mean,
                   const REAL *restrict rstd, const REAL *restrict by_dweight, const REAL *restrict by_dbias,
                   REAL *restrict by_x, REAL *restrict by_dout, REAL *restrict by_weight, long maps, long channels,
                   long height, long width, int threads)
{
  SECOND_SIZES(SECOND)
}
