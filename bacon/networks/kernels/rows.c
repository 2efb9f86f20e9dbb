/* One map's instance norm, ReLU and 2x2 average pooling, forward and backward, in vectors that fill rows.

   Included for each REAL with BYTES, HALF (of them) and LANES defined: vectors of BYTES bytes hold LANES numbers.

   Compilers vectorise the plain loops of block.c, but each loop by itself: a map of 4x4 to 16x16 fits the registers and spends
   its time between them, and the sum of a vector's lanes is taken one after another. Here whole rows, or equal parts of them,
   are vectors. The order of every sum is written down, so it depends on nothing but the size. */

typedef REAL ROWS(row) __attribute__((vector_size(BYTES), aligned(sizeof(REAL)), may_alias));
typedef MASK ROWS(mask) __attribute__((vector_size(BYTES), may_alias));

/* The sum of a vector's lanes: of its halves, and so on. */
static inline __attribute__((always_inline)) REAL ROWS(lanes)(ROWS(row) v)
{
#if BYTES > 16
  return ROWS_OF(lanes, HALF)(((ROWS_OF(row, HALF) *)&v)[0] + ((ROWS_OF(row, HALF) *)&v)[1]);
#elif REAL_BYTES == 4
  return (v[0] + v[2]) + (v[1] + v[3]);
#else
  return v[0] + v[1];
#endif
}

/* 0 where negative; written so that NaN stays NaN. */
static inline __attribute__((always_inline)) ROWS(row) ROWS(relu)(ROWS(row) v)
{
  return (ROWS(row))((ROWS(mask))v & ~(ROWS(mask))(v < (ROWS(row)){}));
}

/* Several maps at once, for their sums wait for each other. */
static inline __attribute__((always_inline)) void ROWS(forward_rows)(
    const REAL *restrict map, const REAL *restrict weight, const REAL *restrict bias, REAL *restrict pooled,
    REAL *restrict mean, REAL *restrict rstd, const long maps, const long height, const long width, double epsilon)
{
  const ROWS(row) *restrict rows = (const ROWS(row) *)map;
  const long per_row = width / LANES, count = height * per_row;
  ROWS(row) sum[MAPS_TOGETHER][2] = {}, square[MAPS_TOGETHER][2] = {};
  REAL centre[MAPS_TOGETHER], scale[MAPS_TOGETHER], shift[MAPS_TOGETHER];
  for (long v = 0; v < count; v += 2)
    for (long m = 0; m < maps; m++)
      for (long k = 0; k < 2; k++) sum[m][k] += rows[m * count + v + k];
  for (long m = 0; m < maps; m++) centre[m] = ROWS(lanes)(sum[m][0] + sum[m][1]) / (REAL)(count * LANES);
  for (long v = 0; v < count; v += 2)
    for (long m = 0; m < maps; m++)
      for (long k = 0; k < 2; k++) {
        const ROWS(row) apart = rows[m * count + v + k] - centre[m];
        square[m][k] += apart * apart;
      }
  for (long m = 0; m < maps; m++) {
    const double variance = (double)ROWS(lanes)(square[m][0] + square[m][1]) / (double)(count * LANES);
    const REAL r = (REAL)(1.0 / sqrt(variance + epsilon));
    scale[m] = weight[m] * r;
    shift[m] = bias[m] - centre[m] * scale[m];
    mean[m] = centre[m];
    rstd[m] = r;
  }
  for (long m = 0; m < maps; m++)
    for (long v = 0; v < count / 2; v += 2) {
      ROWS(row) both[2] = {}; /* an upper row and the one below it */
      for (long k = 0; k < 2 && v + k < count / 2; k++) {
        const ROWS(row) *upper = rows + m * count + (v + k) / per_row * 2 * per_row + (v + k) % per_row;
        both[k] = ROWS(relu)(*upper * scale[m] + shift[m]) + ROWS(relu)(upper[per_row] * scale[m] + shift[m]);
      }
      const ROWS(row) even = SHUFFLE(both[0], both[1], EVEN);
      const ROWS(row) pairs = (even + SHUFFLE(both[0], both[1], ODD)) * (REAL)0.25;
      REAL *restrict to = pooled + (m * count / 2 + v) * (LANES / 2);
      if (v + 1 < count / 2)
        *(ROWS(row) *)to = pairs;
      else
        for (long i = 0; i < LANES / 2; i++) to[i] = pairs[i];
    }
}

static inline __attribute__((always_inline)) void ROWS(backward_rows)(
    const REAL *restrict map, const REAL *restrict given, const REAL *restrict weight, const REAL *restrict bias,
    const REAL *restrict mean, const REAL *restrict rstd, REAL *restrict result, REAL *restrict dweight,
    REAL *restrict dbias, const long maps, const long height, const long width)
{
  const ROWS(row) *restrict rows = (const ROWS(row) *)map;
  ROWS(row) *restrict results = (ROWS(row) *)result;
  const long per_row = width / LANES, count = height * per_row;
  ROWS(row) total[MAPS_TOGETHER][2] = {}, along[MAPS_TOGETHER][2] = {};
  for (long m = 0; m < maps; m++) {
    const REAL scale = weight[m] * rstd[m], shift = bias[m] - mean[m] * scale;
    for (long v = 0; v < count / 2; v += 2) {
      const REAL *restrict from = given + (m * count / 2 + v) * (LANES / 2);
      ROWS(row) pooled = {}; /* of two vectors that cover an upper row and the one below it */
      if (v + 1 < count / 2)
        pooled = *(const ROWS(row) *)from;
      else
        for (long i = 0; i < LANES / 2; i++) pooled[i] = from[i];
      pooled *= (REAL)0.25;
      const ROWS(row) each[2] = {SHUFFLE(pooled, pooled, LOW),
                                      SHUFFLE(pooled, pooled, HIGH)};
      for (long k = 0; k < 2 && v + k < count / 2; k++)
        for (long below = 0; below < 2; below++) {
          const long at = m * count + ((v + k) / per_row * 2 + below) * per_row + (v + k) % per_row;
          const ROWS(mask) stopped = (ROWS(mask))(rows[at] * scale + shift <= (ROWS(row)){});
          const ROWS(row) passed = (ROWS(row))((ROWS(mask))each[k] & ~stopped);
          total[m][below] += passed;
          along[m][below] += passed * (rows[at] - mean[m]);
          results[at] = passed;
        }
    }
  }
  for (long m = 0; m < maps; m++) {
    dbias[m] = ROWS(lanes)(total[m][0] + total[m][1]);
    dweight[m] = ROWS(lanes)(along[m][0] + along[m][1]) * rstd[m];
  }
  for (long m = 0; m < maps; m++) {
    const REAL offset = dbias[m] / (REAL)(count * LANES), slope = dweight[m] / (REAL)(count * LANES) * rstd[m];
    const REAL scale = weight[m] * rstd[m];
    for (long v = 0; v < count; v++)
      results[m * count + v] = scale * (results[m * count + v] - offset - (rows[m * count + v] - mean[m]) * slope);
  }
}
