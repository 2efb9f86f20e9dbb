/* The calls that PyTorch itself makes when a tensor says it is on a GPU: there is one device, and nothing is ever launched on it.
   Loaded before the real library of the CUDA runtime, and, by the name of the driver, in its place. */
#include <stddef.h>

#define SUCCEEDS(name) int name() { return 0; }

static int device = 0;
static size_t made = 1000; /* streams and events only need to differ */

int cudaGetDeviceCount(int *count) { *count = 1; return 0; }
int cudaGetDevice(int *which) { *which = device; return 0; }
int cudaSetDevice(int which) { device = which; return 0; }
int cudaDeviceGetStreamPriorityRange(int *least, int *greatest) { *least = 0; *greatest = -5; return 0; }
int cudaStreamCreateWithPriority(void **stream, unsigned flags, int priority) { *stream = (void *)++made; return 0; }
int cudaStreamGetCaptureInfo(void *stream, int *status) { *status = 0; return 0; }
int cudaStreamIsCapturing(void *stream, int *status) { *status = 0; return 0; }
int cudaEventCreateWithFlags(void **event, unsigned flags) { *event = (void *)++made; return 0; }
int cudaDriverGetVersion(int *version) { *version = 13000; return 0; }
int cudaRuntimeGetVersion(int *version) { *version = 13000; return 0; }
int cudaDeviceCanAccessPeer(int *can, int one, int other) { *can = 0; return 0; }
SUCCEEDS(cudaThreadExchangeStreamCaptureMode)
SUCCEEDS(cudaEventDestroy)
SUCCEEDS(cudaEventQuery)
SUCCEEDS(cudaEventRecord)
SUCCEEDS(cudaEventSynchronize)
SUCCEEDS(cudaStreamQuery)
SUCCEEDS(cudaStreamSynchronize)
SUCCEEDS(cudaStreamWaitEvent)
SUCCEEDS(cudaGetLastError)
SUCCEEDS(cudaPeekAtLastError)
SUCCEEDS(cudaDeviceSynchronize)

/* The driver's, which PyTorch looks up by name. */
int cuDevicePrimaryCtxGetState(int which, unsigned *flags, int *active) { *flags = 0; *active = 1; return 0; }
int cuGetErrorString(int error, const char **text) { *text = "emulated"; return 0; }
SUCCEEDS(cuInit)
