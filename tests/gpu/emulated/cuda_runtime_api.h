/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Found in place of the toolkit's header of this name: the calls that gpu/cuda makes, answered by runtime.cpp. Streams
 * do their work when asked for it and then say for a while that they have not.
 */
#ifndef TG_TEST_CUDA_RUNTIME_API_H
#define TG_TEST_CUDA_RUNTIME_API_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum cudaError {
    cudaSuccess = 0,
#define CUDA_FAULT(name, code, class, error) name = code,
#include "gpu/cuda/cuda_faults.def"
#undef CUDA_FAULT
} cudaError_t;

typedef struct emulated_stream *cudaStream_t;
typedef struct emulated_event *cudaEvent_t;
typedef struct emulated_graph *cudaGraph_t;
typedef struct emulated_graph *cudaGraphExec_t;
typedef struct emulated_library *cudaLibrary_t;
typedef struct emulated_kernel *cudaKernel_t;

#ifdef __cplusplus
struct dim3; /* in emulator.h, where it has constructors */
#else
typedef struct {
    unsigned x, y, z;
} dim3;
#endif

struct cudaDeviceProp {
    char name[256];
    struct {
        char bytes[16];
    } uuid;
    size_t totalGlobalMem;
    int multiProcessorCount;
    int pciDomainID, pciBusID, pciDeviceID;
};

enum cudaMemcpyKind { cudaMemcpyHostToDevice = 1, cudaMemcpyDeviceToHost = 2 };
enum cudaStreamCaptureMode { cudaStreamCaptureModeThreadLocal = 1 };

#define cudaHostRegisterPortable 1u
#define cudaHostRegisterMapped 2u
#define cudaHostAllocPortable 1u
#define cudaHostAllocMapped 2u
#define cudaStreamNonBlocking 1u
#define cudaEventDisableTiming 2u

cudaError_t cudaDriverGetVersion(int *version);
cudaError_t cudaRuntimeGetVersion(int *version);
cudaError_t cudaGetDeviceCount(int *count);
cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *p, int device);
cudaError_t cudaSetDevice(int device);
cudaError_t cudaGetLastError(void);
cudaError_t cudaDeviceSynchronize(void);
cudaError_t cudaMalloc(void **at, size_t bytes);
cudaError_t cudaFree(void *at);
cudaError_t cudaHostAlloc(void **at, size_t bytes, unsigned flags);
cudaError_t cudaFreeHost(void *at);
cudaError_t cudaHostRegister(void *at, size_t bytes, unsigned flags);
cudaError_t cudaHostUnregister(void *at);
cudaError_t cudaHostGetDevicePointer(void **device, void *host, unsigned flags);
cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind, cudaStream_t stream);
cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned flags);
cudaError_t cudaStreamDestroy(cudaStream_t stream);
cudaError_t cudaStreamSynchronize(cudaStream_t stream);
cudaError_t cudaStreamQuery(cudaStream_t stream);
cudaError_t cudaStreamBeginCapture(cudaStream_t stream, enum cudaStreamCaptureMode mode);
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *graph);
cudaError_t cudaGraphInstantiate(cudaGraphExec_t *exec, cudaGraph_t graph, unsigned long long flags);
cudaError_t cudaGraphUpload(cudaGraphExec_t exec, cudaStream_t stream);
cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream);
cudaError_t cudaGraphDestroy(cudaGraph_t graph);
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec);
cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned flags);
cudaError_t cudaEventDestroy(cudaEvent_t event);
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream);
cudaError_t cudaEventQuery(cudaEvent_t event);
/* library.cpp: what the double of NVRTC (nvrtc.c) made. Options are not known here. */
cudaError_t cudaLibraryLoadData(cudaLibrary_t *library, const void *code, void *jit_options, void **jit_values,
                                unsigned jit_count, void *options, void **values, unsigned count);
cudaError_t cudaLibraryGetKernel(cudaKernel_t *kernel, cudaLibrary_t library, const char *name);
cudaError_t cudaLibraryUnload(cudaLibrary_t library);
cudaError_t cudaLaunchKernel(const void *kernel, dim3 grid, dim3 block, void **arguments, size_t shared_bytes,
                             cudaStream_t stream);

/* ---- for tests ------------------------------------------------------------------------------------------- */

/**
 * The @nth call from now on that can fail does, with @code. Sticky codes stay, as they do in CUDA. @nth 0: none from
 * now on; and with @code 0 what stayed is forgotten.
 */
void emulator_fail(uint64_t nth, int code);
/** Calls that could have failed since the process began. */
uint64_t emulator_calls(void);
/** Things allocated, registered or created and not given back. */
int64_t emulator_leaks(void);
/** Graph launches so far. */
uint64_t emulator_graph_launches(void);
/** Host memory cannot be registered from now on. */
void emulator_refuse_pinning(int refuse);
/** From now on every launch is refused with @code; 0: none. */
void emulator_refuse_launches(int code);
/** A kernel dies from now on: launches succeed, nothing is computed, and the stream says so when asked. */
void emulator_kill_kernels(int code);

#ifdef __cplusplus
}
#endif

#endif
