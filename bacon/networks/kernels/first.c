/* A ConvNet's whole first block on the CPU: 3x3 convolution, instance norm, ReLU and 2x2 average pooling. Included for each REAL.

   The first convolution has one or three input channels: little arithmetic for large maps, so a general convolution spends its
   time on moving them. Here the maps of four channels of one image are made in the first-level cache, used, and forgotten; the
   backward pass makes them again. Vectors of 64 bytes are written as such, because compilers do not find them (GCC 12 takes 32
   bytes); where a CPU has narrower ones, the compiler splits them. Uses the functions of one map in block.c. Sums over images
   are taken in one order, so threads change no bit. */

typedef REAL NAMED(vector) __attribute__((vector_size(64), aligned(sizeof(REAL)), may_alias));

/* An image (inputs, rows, columns) with a border of zeros: (inputs, rows + 2 border, columns + 2 border). */
static inline __attribute__((always_inline)) void NAMED(pad)(
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
static inline __attribute__((always_inline)) void NAMED(convolve)(
    const REAL *restrict image, const REAL *restrict weight, const REAL *restrict bias, REAL *restrict maps,
    const long inputs, const long height, const long width)
{
  const long line = width + 2, plane = (height + 2) * line, size = height * width, per_row = width / VECTOR_LANES;
  for (long v = 0; v < size / VECTOR_LANES; v += 2) {
    const REAL *one = image + v / per_row * line + v % per_row * VECTOR_LANES;
    const REAL *two = image + (v + 1) / per_row * line + (v + 1) % per_row * VECTOR_LANES;
    NAMED(vector) sum[4][2];
    for (long c = 0; c < 4; c++) sum[c][0] = sum[c][1] = (NAMED(vector)){} + bias[c];
    for (long i = 0; i < inputs; i++)
      for (long tap = 0; tap < 9; tap++) {
        const long offset = i * plane + tap / 3 * line + tap % 3;
        const NAMED(vector) a = *(const NAMED(vector) *)(one + offset), b = *(const NAMED(vector) *)(two + offset);
        for (long c = 0; c < 4; c++) {
          const REAL w = weight[(c * inputs + i) * 9 + tap];
          sum[c][0] += a * w;
          sum[c][1] += b * w;
        }
      }
    for (long c = 0; c < 4; c++) {
      *(NAMED(vector) *)(maps + c * size + v * VECTOR_LANES) = sum[c][0];
      *(NAMED(vector) *)(maps + c * size + (v + 1) * VECTOR_LANES) = sum[c][1];
    }
  }
}

/* sums (4, inputs, 3, 3) of vectors += given maps (4, height, width) times the shifted image, pixel by pixel. */
static inline __attribute__((always_inline)) void NAMED(correlate)(
    const REAL *restrict image, const REAL *restrict given, NAMED(vector) *restrict sums, const long inputs,
    const long height, const long width)
{
  const long line = width + 2, plane = (height + 2) * line, size = height * width;
  for (long i = 0; i < inputs; i++)
    for (long c = 0; c < 4; c += 2) { /* two channels: their 18 sums stay in registers */
      NAMED(vector) sum[2][3][3];
      for (long k = 0; k < 18; k++) sum[k / 9][k % 9 / 3][k % 3] = sums[((c + k / 9) * inputs + i) * 9 + k % 9];
      for (long j = 0; j < width; j += VECTOR_LANES) {
        NAMED(vector) above[2] = {}, highest[2] = {}; /* given rows that meet this image row by the lower two taps */
        for (long row = 0; row < height + 2; row++) {
          const REAL *from = image + i * plane + row * line + j;
          const NAMED(vector) shifted[3] = {*(const NAMED(vector) *)from, *(const NAMED(vector) *)(from + 1),
                                          *(const NAMED(vector) *)(from + 2)};
          for (long k = 0; k < 2; k++) {
            NAMED(vector) here = {};
            if (row < height) here = *(const NAMED(vector) *)(given + (c + k) * size + row * width + j);
            for (long x = 0; x < 3; x++) {
              sum[k][0][x] += here * shifted[x];
              sum[k][1][x] += above[k] * shifted[x];
              sum[k][2][x] += highest[k] * shifted[x];
            }
            highest[k] = above[k];
            above[k] = here;
          }
        }
      }
      for (long k = 0; k < 18; k++) sums[((c + k / 9) * inputs + i) * 9 + k % 9] = sum[k / 9][k % 9 / 3][k % 3];
    }
}

/* dimage (inputs, height, width) += the transposed convolution of padded maps (4, height + 2, width + 2). */
static inline __attribute__((always_inline)) void NAMED(transpose)(
    const REAL *restrict padded, const REAL *restrict weight, REAL *restrict dimage, const long inputs,
    const long height, const long width)
{
  const long line = width + 2, plane = (height + 2) * line, size = height * width;
  for (long row = 0; row < height; row += 2)
    for (long j = 0; j < width; j += VECTOR_LANES) {
      REAL *to = dimage + row * width + j;
      NAMED(vector) sum[MOST_INPUTS][2];
      for (long i = 0; i < inputs; i++) {
        sum[i][0] = *(const NAMED(vector) *)(to + i * size);
        sum[i][1] = *(const NAMED(vector) *)(to + i * size + width);
      }
      for (long c = 0; c < 4; c++)
        for (long tap = 0; tap < 9; tap++) {
          const REAL *from = padded + c * plane + (row + 2 - tap / 3) * line + j + 2 - tap % 3;
          const NAMED(vector) a = *(const NAMED(vector) *)from, b = *(const NAMED(vector) *)(from + line);
          for (long i = 0; i < inputs; i++) {
            const REAL w = weight[(c * inputs + i) * 9 + tap];
            sum[i][0] += a * w;
            sum[i][1] += b * w;
          }
        }
      for (long i = 0; i < inputs; i++) {
        *(NAMED(vector) *)(to + i * size) = sum[i][0];
        *(NAMED(vector) *)(to + i * size + width) = sum[i][1];
      }
    }
}

#define FIRST_FORWARD(I, H, W)                                                                                  \
  for (long n = 0; n < images; n++) {                                                                                \
    REAL maps[4 * (H) * (W)], image[(I) * ((H) + 2) * ((W) + 2)];                                                    \
    NAMED(pad)(x + n * (I) * ((H) + 2 - 2 * border) * ((W) + 2 - 2 * border), image, I, (H) + 2 - 2 * border,          \
             (W) + 2 - 2 * border, border);                                                                          \
    for (long c = 0; c < channels; c += 4) {                                                                         \
      const long m = n * channels + c;                                                                               \
      NAMED(convolve)(image, filters + c * (I) * 9, offsets + c, maps, I, H, W);                                       \
      NAMED(forward_maps)(maps, weight + c, bias + c, out + m * ((H) * (W) / 4), mean + m, rstd + m, 4, H, W,          \
                        epsilon);                                                                                    \
    }                                                                                                                \
  }

#define FIRST_BACKWARD(I, H, W)                                                                                 \
  for (long group = 0; group < (images + IMAGES_TOGETHER - 1) / IMAGES_TOGETHER; group++) {                          \
    const long first = group * IMAGES_TOGETHER;                                                                      \
    const long count = images - first < IMAGES_TOGETHER ? images - first : IMAGES_TOGETHER;                          \
    REAL image[IMAGES_TOGETHER][(I) * ((H) + 2) * ((W) + 2)], maps[4 * (H) * (W)], given[4 * (H) * (W)];             \
    REAL padded[4 * ((H) + 2) * ((W) + 2)];                                                                          \
    for (long n = 0; n < count; n++)                                                                                 \
      NAMED(pad)(x + (first + n) * (I) * ((H) + 2 - 2 * border) * ((W) + 2 - 2 * border), image[n], I,                 \
               (H) + 2 - 2 * border, (W) + 2 - 2 * border, border);                                                  \
    if (dx) {                                                                                                        \
      for (long i = 0; i < 4 * ((H) + 2) * ((W) + 2); i++) padded[i] = 0;                                            \
      for (long i = 0; i < count * (I) * (H) * (W); i++) dx[first * (I) * (H) * (W) + i] = 0;                        \
    }                                                                                                                \
    for (long c = 0; c < channels; c += 4) {                                                                         \
      NAMED(vector) sums[4 * (I) * 9];                                                                                 \
      for (long i = 0; i < 4 * (I) * 9; i++) sums[i] = (NAMED(vector)){};                                              \
      for (long n = 0; n < count; n++) {                                                                             \
        const long m = (first + n) * channels + c;                                                                   \
        NAMED(convolve)(image[n], filters + c * (I) * 9, offsets + c, maps, I, H, W);                                  \
        NAMED(backward_maps)(maps, dout + m * ((H) * (W) / 4), weight + c, bias + c, mean + m, rstd + m, given,        \
                           dweight + m, dbias + m, 4, H, W);                                                         \
        if (dfilters) NAMED(correlate)(image[n], given, sums, I, H, W);                                                \
        if (!dx) continue;                                                                                           \
        for (long k = 0; k < 4; k++)                                                                                 \
          for (long row = 0; row < (H); row++)                                                                       \
            for (long j = 0; j < (W); j += VECTOR_LANES)                                                               \
              *(NAMED(vector) *)(padded + (k * ((H) + 2) + row + 1) * ((W) + 2) + j + 1) =                             \
                  *(const NAMED(vector) *)(given + (k * (H) + row) * (W) + j);                                         \
        NAMED(transpose)(padded, filters + c * (I) * 9, dx + (first + n) * (I) * (H) * (W), I, H, W);                  \
      }                                                                                                              \
      if (dfilters)                                                                                                  \
        for (long i = 0; i < 4 * (I) * 9; i++)                                                                       \
          dfilters[(group * channels + c) * (I) * 9 + i] = ROWS_OF(lanes, 64)(sums[i]);                                   \
    }                                                                                                                \
  }

/* x (images, inputs, height + 2 - 2 border, width + 2 - 2 border), filters (channels, inputs, 9) ->
   out (images, channels, height/2, width/2). */
void NAMED(first_forward)(const REAL *restrict x, const REAL *restrict filters, const REAL *restrict offsets,
                        const REAL *restrict weight, const REAL *restrict bias, REAL *restrict out,
                        REAL *restrict mean, REAL *restrict rstd, long images, long inputs, long channels,
                        long height, long width, long border, double epsilon, int threads)
{
  FIRST_SIZES(FIRST_FORWARD)
}

/* dx (images, inputs, height, width) and dfilters (groups of IMAGES_TOGETHER images, channels, inputs, 9), or null
   where not wanted; dweight and dbias (images, channels), to be summed over images, as dfilters is over groups. */
void NAMED(first_backward)(const REAL *restrict x, const REAL *restrict dout, const REAL *restrict filters,
                         const REAL *restrict offsets, const REAL *restrict weight, const REAL *restrict bias,
                         const REAL *restrict mean, const REAL *restrict rstd, REAL *restrict dx,
                         REAL *restrict dfilters, REAL *restrict dweight, REAL *restrict dbias, long images,
                         long inputs, long channels, long height, long width, long border, int threads)
{
  FIRST_SIZES(FIRST_BACKWARD)
}
