"""C source of one map's instance norm, ReLU and 2x2 average pooling, forward and backward, in vectors that fill rows.

Compilers vectorise the plain loops of ``block_source``, but each loop by itself: a map of 4x4 to 16x16 fits the registers
and spends its time between them, and the sum of a vector's lanes is taken one after another. Here whole rows, or equal parts
of them, are vectors of 64, 32 or 16 bytes. The order of every sum is written down, so it depends on nothing but the size.
"""

from __future__ import annotations

_SIZES = {"float": 4, "double": 8}
_BYTES = (16, 32, 64)

_TEMPLATE = r"""
typedef REAL row_REAL_BYTES __attribute__((vector_size(BYTES), aligned(sizeof(REAL)), may_alias));
typedef MASK mask_REAL_BYTES __attribute__((vector_size(BYTES), may_alias));
SUM_OF_LANES
/* 0 where negative; written so that NaN stays NaN. */
static inline __attribute__((always_inline)) row_REAL_BYTES relu_REAL_BYTES(row_REAL_BYTES v)
{
  return (row_REAL_BYTES)((mask_REAL_BYTES)v & ~(mask_REAL_BYTES)(v < (row_REAL_BYTES){}));
}

/* Several maps at once, for their sums wait for each other. */
static inline __attribute__((always_inline)) void forward_rows_REAL_BYTES(
    const REAL *restrict map, const REAL *restrict weight, const REAL *restrict bias, REAL *restrict pooled,
    REAL *restrict mean, REAL *restrict rstd, const long maps, const long height, const long width, double epsilon)
{
  const row_REAL_BYTES *restrict rows = (const row_REAL_BYTES *)map;
  const long per_row = width / LANES, count = height * per_row;
  row_REAL_BYTES sum[MAPS_TOGETHER][2] = {}, square[MAPS_TOGETHER][2] = {};
  REAL centre[MAPS_TOGETHER], scale[MAPS_TOGETHER], shift[MAPS_TOGETHER];
  for (long v = 0; v < count; v += 2)
    for (long m = 0; m < maps; m++)
      for (long k = 0; k < 2; k++) sum[m][k] += rows[m * count + v + k];
  for (long m = 0; m < maps; m++) centre[m] = lanes_REAL_BYTES(sum[m][0] + sum[m][1]) / (REAL)(count * LANES);
  for (long v = 0; v < count; v += 2)
    for (long m = 0; m < maps; m++)
      for (long k = 0; k < 2; k++) {
        const row_REAL_BYTES apart = rows[m * count + v + k] - centre[m];
        square[m][k] += apart * apart;
      }
  for (long m = 0; m < maps; m++) {
    const double variance = (double)lanes_REAL_BYTES(square[m][0] + square[m][1]) / (double)(count * LANES);
    const REAL r = (REAL)(1.0 / sqrt(variance + epsilon));
    scale[m] = weight[m] * r;
    shift[m] = bias[m] - centre[m] * scale[m];
    mean[m] = centre[m];
    rstd[m] = r;
  }
  for (long m = 0; m < maps; m++)
    for (long v = 0; v < count / 2; v += 2) {
      row_REAL_BYTES both[2] = {}; /* an upper row and the one below it */
      for (long k = 0; k < 2 && v + k < count / 2; k++) {
        const row_REAL_BYTES *upper = rows + m * count + (v + k) / per_row * 2 * per_row + (v + k) % per_row;
        both[k] = relu_REAL_BYTES(*upper * scale[m] + shift[m]) + relu_REAL_BYTES(upper[per_row] * scale[m] + shift[m]);
      }
      const row_REAL_BYTES even = SHUFFLE_REAL_BYTES(both[0], both[1], EVEN);
      const row_REAL_BYTES pairs = (even + SHUFFLE_REAL_BYTES(both[0], both[1], ODD)) * (REAL)0.25;
      REAL *restrict to = pooled + (m * count / 2 + v) * (LANES / 2);
      if (v + 1 < count / 2)
        *(row_REAL_BYTES *)to = pairs;
      else
        for (long i = 0; i < LANES / 2; i++) to[i] = pairs[i];
    }
}

static inline __attribute__((always_inline)) void backward_rows_REAL_BYTES(
    const REAL *restrict map, const REAL *restrict given, const REAL *restrict weight, const REAL *restrict bias,
    const REAL *restrict mean, const REAL *restrict rstd, REAL *restrict result, REAL *restrict dweight,
    REAL *restrict dbias, const long maps, const long height, const long width)
{
  const row_REAL_BYTES *restrict rows = (const row_REAL_BYTES *)map;
  row_REAL_BYTES *restrict results = (row_REAL_BYTES *)result;
  const long per_row = width / LANES, count = height * per_row;
  row_REAL_BYTES total[MAPS_TOGETHER][2] = {}, along[MAPS_TOGETHER][2] = {};
  for (long m = 0; m < maps; m++) {
    const REAL scale = weight[m] * rstd[m], shift = bias[m] - mean[m] * scale;
    for (long v = 0; v < count / 2; v += 2) {
      const REAL *restrict from = given + (m * count / 2 + v) * (LANES / 2);
      row_REAL_BYTES pooled = {}; /* of two vectors that cover an upper row and the one below it */
      if (v + 1 < count / 2)
        pooled = *(const row_REAL_BYTES *)from;
      else
        for (long i = 0; i < LANES / 2; i++) pooled[i] = from[i];
      pooled *= (REAL)0.25;
      const row_REAL_BYTES each[2] = {SHUFFLE_REAL_BYTES(pooled, pooled, LOW),
                                      SHUFFLE_REAL_BYTES(pooled, pooled, HIGH)};
      for (long k = 0; k < 2 && v + k < count / 2; k++)
        for (long below = 0; below < 2; below++) {
          const long at = m * count + ((v + k) / per_row * 2 + below) * per_row + (v + k) % per_row;
          const mask_REAL_BYTES stopped = (mask_REAL_BYTES)(rows[at] * scale + shift <= (row_REAL_BYTES){});
          const row_REAL_BYTES passed = (row_REAL_BYTES)((mask_REAL_BYTES)each[k] & ~stopped);
          total[m][below] += passed;
          along[m][below] += passed * (rows[at] - mean[m]);
          results[at] = passed;
        }
    }
  }
  for (long m = 0; m < maps; m++) {
    dbias[m] = lanes_REAL_BYTES(total[m][0] + total[m][1]);
    dweight[m] = lanes_REAL_BYTES(along[m][0] + along[m][1]) * rstd[m];
  }
  for (long m = 0; m < maps; m++) {
    const REAL offset = dbias[m] / (REAL)(count * LANES), slope = dweight[m] / (REAL)(count * LANES) * rstd[m];
    const REAL scale = weight[m] * rstd[m];
    for (long v = 0; v < count; v++)
      results[m * count + v] = scale * (results[m * count + v] - offset - (rows[m * count + v] - mean[m]) * slope);
  }
}
"""

# The sum of a vector's lanes: of its halves, and so on.
_LANES = r"""
static inline __attribute__((always_inline)) REAL lanes_REAL_BYTES(row_REAL_BYTES v)
{
  return lanes_REAL_HALF(((row_REAL_HALF *)&v)[0] + ((row_REAL_HALF *)&v)[1]);
}
"""
_SMALLEST_LANES = r"""
static inline __attribute__((always_inline)) REAL lanes_REAL_16(row_REAL_16 v) { return SUM; }
"""
_SUMS = {"float": "(v[0] + v[2]) + (v[1] + v[3])", "double": "v[0] + v[1]"}

# GCC shuffles by a vector of places, Clang by constant arguments.
_SHUFFLE = r"""
#ifdef __clang__
#define SHUFFLE_REAL_BYTES(A, B, PLACES) __builtin_shufflevector(A, B, PLACES_REAL_BYTES_##PLACES)
#else
#define SHUFFLE_REAL_BYTES(A, B, PLACES) __builtin_shuffle(A, B, (mask_REAL_BYTES){PLACES_REAL_BYTES_##PLACES})
#endif
"""


def _places(real: str, size: int, lanes: int) -> str:
    half = range(lanes // 2)
    places = {
        "EVEN": range(0, 2 * lanes, 2),
        "ODD": range(1, 2 * lanes, 2),
        "LOW": [place for place in half for _ in range(2)],
        "HIGH": [place + lanes // 2 for place in half for _ in range(2)],
    }
    return "".join(
        f"#define PLACES_{real}_{size}_{name} {', '.join(map(str, chosen))}\n" for name, chosen in places.items()
    )


def _rows(real: str, size: int) -> str:
    lanes = size // _SIZES[real]
    smallest = size == _BYTES[0]
    words = {
        "SUM_OF_LANES": _SMALLEST_LANES if smallest else _LANES,
        "SUM": _SUMS[real],
        "HALF": str(size // 2),
        "REAL": real,
        "BYTES": str(size),
        "LANES": f"{lanes}L",
        "MASK": {"float": "int", "double": "long long"}[real],
    }
    text = _SHUFFLE + _TEMPLATE
    for word, meaning in words.items():
        text = text.replace(word, meaning)
    return _places(real, size, lanes) + text


ROWS_SOURCE = "#define MAPS_TOGETHER 4\n" + "".join(_rows(real, size) for real in _SIZES for size in _BYTES)
"""Defines ``forward_rows_REAL_BYTES`` and ``backward_rows_REAL_BYTES`` for float and double, 64, 32 and 16 bytes."""
