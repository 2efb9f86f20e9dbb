"""C source of a ConvNet's whole first block on the CPU: 3x3 convolution, instance norm, ReLU and 2x2 average pooling.

The first convolution has one or three input channels: little arithmetic for large maps, so a general convolution spends
its time on moving them. Here the maps of four channels of one image are made in the first-level cache, used, and
forgotten; the backward pass makes them again. Vectors of 64 bytes are written as such, because compilers do not find them
(GCC 12 takes 32 bytes); where a CPU has narrower ones, the compiler splits them. Appended to ``block_source``, whose
functions for one map are used. Sums over images are taken in one order, so threads change no bit.
"""

from __future__ import annotations

VECTOR_BYTES = 64  # a row of a map is a whole number of vectors
LARGEST_CHANNELS = 4  # of the images
IMAGES_PER_SUM = 4  # gradients of the weights are summed over so many images by the kernel, the rest outside

_TEMPLATE = r"""
typedef REAL vector_REAL __attribute__((vector_size(64), aligned(sizeof(REAL)), may_alias));
#define LANES_REAL ((long)(64 / sizeof(REAL)))

/* An image (inputs, rows, columns) with a border of zeros: (inputs, rows + 2 border, columns + 2 border). */
static inline __attribute__((always_inline)) void pad_REAL(
    const REAL *restrict image, REAL *restrict padded, const long inputs, const long rows, const long columns,
    const long border)
{
  const long height = rows + 2 * border, width = columns + 2 * border;
  for (long i = 0; i < inputs; i++)
    for (long y = 0; y < height; y++) {
      REAL *restrict line = padded + (i * height + y) * width;
      const REAL *restrict from = image + (i * rows + y - border) * columns;
      if (y < border || y >= height - border) {
        for (long x = 0; x < width; x++) line[x] = 0;
        continue;
      }
      for (long x = 0; x < border; x++) line[x] = line[width - 1 - x] = 0;
      for (long x = 0; x < columns; x++) line[border + x] = from[x];
    }
}

/* Maps of 4 channels, (4, height, width), of one padded image (inputs, height + 2, width + 2); weight (4, inputs, 9). */
static inline __attribute__((always_inline)) void convolve_REAL(
    const REAL *restrict image, const REAL *restrict weight, const REAL *restrict bias, REAL *restrict maps,
    const long inputs, const long height, const long width)
{
  const long line = width + 2, plane = (height + 2) * line, size = height * width, per_row = width / LANES_REAL;
  for (long v = 0; v < size / LANES_REAL; v += 2) {
    const REAL *one = image + v / per_row * line + v % per_row * LANES_REAL;
    const REAL *two = image + (v + 1) / per_row * line + (v + 1) % per_row * LANES_REAL;
    vector_REAL sum[4][2];
    for (long c = 0; c < 4; c++) sum[c][0] = sum[c][1] = (vector_REAL){} + bias[c];
    for (long i = 0; i < inputs; i++)
      for (long tap = 0; tap < 9; tap++) {
        const long offset = i * plane + tap / 3 * line + tap % 3;
        const vector_REAL a = *(const vector_REAL *)(one + offset), b = *(const vector_REAL *)(two + offset);
        for (long c = 0; c < 4; c++) {
          const REAL w = weight[(c * inputs + i) * 9 + tap];
          sum[c][0] += a * w;
          sum[c][1] += b * w;
        }
      }
    for (long c = 0; c < 4; c++) {
      *(vector_REAL *)(maps + c * size + v * LANES_REAL) = sum[c][0];
      *(vector_REAL *)(maps + c * size + (v + 1) * LANES_REAL) = sum[c][1];
    }
  }
}

static inline __attribute__((always_inline)) REAL total_REAL(vector_REAL v)
{
  REAL sum = 0;
  for (long i = 0; i < LANES_REAL; i++) sum += v[i];
  return sum;
}

/* dweight (4, inputs, 9) += sums over pixels of given maps (4, height, width) times the shifted image. */
static inline __attribute__((always_inline)) void correlate_REAL(
    const REAL *restrict image, const REAL *restrict given, REAL *restrict dweight, const long inputs,
    const long height, const long width)
{
  const long line = width + 2, plane = (height + 2) * line, size = height * width;
  for (long i = 0; i < inputs; i++)
    for (long y = 0; y < 3; y++) {
      vector_REAL sum[4][3] = {};
      for (long row = 0; row < height; row++)
        for (long j = 0; j < width; j += LANES_REAL) {
          const REAL *from = image + i * plane + (row + y) * line + j;
          for (long x = 0; x < 3; x++) {
            const vector_REAL a = *(const vector_REAL *)(from + x);
            for (long c = 0; c < 4; c++)
              sum[c][x] += a * *(const vector_REAL *)(given + c * size + row * width + j);
          }
        }
      for (long c = 0; c < 4; c++)
        for (long x = 0; x < 3; x++) dweight[(c * inputs + i) * 9 + y * 3 + x] += total_REAL(sum[c][x]);
    }
}

/* dimage (inputs, height, width) += the transposed convolution of padded maps (4, height + 2, width + 2). */
static inline __attribute__((always_inline)) void transpose_REAL(
    const REAL *restrict padded, const REAL *restrict weight, REAL *restrict dimage, const long inputs,
    const long height, const long width)
{
  const long line = width + 2, plane = (height + 2) * line, size = height * width;
  for (long row = 0; row < height; row += 2)
    for (long j = 0; j < width; j += LANES_REAL) {
      REAL *to = dimage + row * width + j;
      vector_REAL sum[MOST_INPUTS][2];
      for (long i = 0; i < inputs; i++) {
        sum[i][0] = *(const vector_REAL *)(to + i * size);
        sum[i][1] = *(const vector_REAL *)(to + i * size + width);
      }
      for (long c = 0; c < 4; c++)
        for (long tap = 0; tap < 9; tap++) {
          const REAL *from = padded + c * plane + (row + 2 - tap / 3) * line + j + 2 - tap % 3;
          const vector_REAL a = *(const vector_REAL *)from, b = *(const vector_REAL *)(from + line);
          for (long i = 0; i < inputs; i++) {
            const REAL w = weight[(c * inputs + i) * 9 + tap];
            sum[i][0] += a * w;
            sum[i][1] += b * w;
          }
        }
      for (long i = 0; i < inputs; i++) {
        *(vector_REAL *)(to + i * size) = sum[i][0];
        *(vector_REAL *)(to + i * size + width) = sum[i][1];
      }
    }
}

#define FIRST_FORWARD_REAL(I, H, W)                                                                                  \
  for (long n = 0; n < images; n++) {                                                                                \
    REAL maps[4 * (H) * (W)], image[(I) * ((H) + 2) * ((W) + 2)];                                                    \
    pad_REAL(x + n * (I) * ((H) + 2 - 2 * border) * ((W) + 2 - 2 * border), image, I, (H) + 2 - 2 * border,          \
             (W) + 2 - 2 * border, border);                                                                          \
    for (long c = 0; c < channels; c += 4) {                                                                         \
      const long m = n * channels + c;                                                                               \
      convolve_REAL(image, filters + c * (I) * 9, offsets + c, maps, I, H, W);                                       \
      for (long k = 0; k < 4; k++)                                                                                   \
        forward_map_REAL(maps + k * (H) * (W), weight[c + k], bias[c + k], out + (m + k) * ((H) * (W) / 4),          \
                         mean + m + k, rstd + m + k, H, W, epsilon);                                                 \
    }                                                                                                                \
  }

#define FIRST_BACKWARD_REAL(I, H, W)                                                                                 \
  for (long group = 0; group < (images + group_size - 1) / group_size; group++)                                      \
    for (long n = group * group_size; n < images && n < (group + 1) * group_size; n++) {                             \
      REAL maps[4 * (H) * (W)], given[4 * (H) * (W)], padded[4 * ((H) + 2) * ((W) + 2)];                             \
      REAL image[(I) * ((H) + 2) * ((W) + 2)];                                                                       \
      pad_REAL(x + n * (I) * ((H) + 2 - 2 * border) * ((W) + 2 - 2 * border), image, I, (H) + 2 - 2 * border,        \
               (W) + 2 - 2 * border, border);                                                                        \
      if (dx) {                                                                                                      \
        for (long i = 0; i < 4 * ((H) + 2) * ((W) + 2); i++) padded[i] = 0;                                          \
        for (long i = 0; i < (I) * (H) * (W); i++) dx[n * (I) * (H) * (W) + i] = 0;                                  \
      }                                                                                                              \
      for (long c = 0; c < channels; c += 4) {                                                                       \
        const long m = n * channels + c;                                                                             \
        convolve_REAL(image, filters + c * (I) * 9, offsets + c, maps, I, H, W);                                     \
        for (long k = 0; k < 4; k++)                                                                                 \
          backward_map_REAL(maps + k * (H) * (W), dout + (m + k) * ((H) * (W) / 4), weight[c + k], bias[c + k],      \
                            mean[m + k], rstd[m + k], given + k * (H) * (W), dweight + m + k, dbias + m + k, H, W);  \
        if (dfilters) correlate_REAL(image, given, dfilters + (group * channels + c) * (I) * 9, I, H, W);            \
        if (dx) {                                                                                                    \
          for (long k = 0; k < 4; k++)                                                                               \
            for (long row = 0; row < (H); row++)                                                                     \
              for (long j = 0; j < (W); j++)                                                                         \
                padded[(k * ((H) + 2) + row + 1) * ((W) + 2) + j + 1] = given[(k * (H) + row) * (W) + j];            \
          transpose_REAL(padded, filters + c * (I) * 9, dx + n * (I) * (H) * (W), I, H, W);                          \
        }                                                                                                            \
      }                                                                                                              \
    }

/* x (images, inputs, height + 2 - 2 border, width + 2 - 2 border), filters (channels, inputs, 9) ->
   out (images, channels, height/2, width/2). */
void first_forward_REAL(const REAL *restrict x, const REAL *restrict filters, const REAL *restrict offsets,
                        const REAL *restrict weight, const REAL *restrict bias, REAL *restrict out,
                        REAL *restrict mean, REAL *restrict rstd, long images, long inputs, long channels,
                        long height, long width, long border, double epsilon, int threads)
{
  FIRST_SIZES_REAL(FIRST_FORWARD_REAL)
}

/* dx (images, inputs, height, width) and dfilters (groups, channels, inputs, 9), zero at the start, or null where not
   wanted; dweight and dbias (images, channels), to be summed over images, as dfilters is over groups. */
void first_backward_REAL(const REAL *restrict x, const REAL *restrict dout, const REAL *restrict filters,
                         const REAL *restrict offsets, const REAL *restrict weight, const REAL *restrict bias,
                         const REAL *restrict mean, const REAL *restrict rstd, REAL *restrict dx,
                         REAL *restrict dfilters, REAL *restrict dweight, REAL *restrict dbias, long images,
                         long inputs, long channels, long height, long width, long border, long group_size,
                         int threads)
{
  FIRST_SIZES_REAL(FIRST_BACKWARD_REAL)
}
"""

_HEAD = r"""
#define MOST_INPUTS LARGEST
#define FIRST_ONE(F, I, S) if (inputs == I && height == S && width == S) { LOOP F(I, S, S) }
#define FIRST_SIZES_float(F) \
  FIRST_ONE(F, 1, 16) else FIRST_ONE(F, 1, 32) else FIRST_ONE(F, 3, 32) else FIRST_ONE(F, 3, 64) \
  else { LOOP F(inputs, height, width) }
#define FIRST_SIZES_double(F) LOOP F(inputs, height, width) /* for tests: less to compile */
"""

FIRST_SOURCE = _HEAD.replace("LARGEST", str(LARGEST_CHANNELS)) + "".join(
    _TEMPLATE.replace("REAL", real) for real in ("float", "double")
)
